package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rollcall/auth"
	"rollcall/config"
	"rollcall/roster"
	"rollcall/storage"
)

func newUser(console Console) *cobra.Command {
	return group(&cobra.Command{
		Use:   "user",
		Short: "Create the first administrator; export or erase one person; reset a lost second factor",
		Long:  `These commands work on the database of DATABASE_URL, so they need no server and no token.`,
	}, newUserCreateAdmin(console), newUserExport(console), newUserErase(console), newUserResetFactor(console))
}

func newUserCreateAdmin(console Console) *cobra.Command {
	var email, name string
	create := &cobra.Command{
		Use:   "create-admin --email EMAIL --name NAME",
		Short: "Create an administrator",
		Long: `Creates an administrator and prints a link to set the password with. No mail is
sent: pass the link on yourself. The link alone goes to standard output.

It begins with ROLLCALL_PUBLIC_URL, is signed with ROLLCALL_SECRET (the same as the
API's) and good for ROLLCALL_INVITATION_TTL.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := require(cmd, "email", "name"); err != nil {
				return err
			}
			person, problems := roster.CheckRow(roster.Cells{Email: email, Name: name, Role: string(roster.RoleAdmin)})
			if len(problems) > 0 {
				return usageError{cmd.CommandPath(), fmt.Sprintf("--%s: %s", problems[0].Field, problems[0].Message)}
			}
			return createAdmin(cmd.Context(), console, person)
		},
	}
	create.Flags().StringVar(&email, "email", "", "the address to sign in with")
	create.Flags().StringVar(&name, "name", "", "the name shown")
	return create
}

func createAdmin(ctx context.Context, console Console, p roster.Person) error {
	cfg, err := settings(console, config.LoadUser)
	if err != nil {
		return err
	}
	signer, err := auth.NewSigner(cfg.Secret.Reveal(), cfg.SecretPrevious.Reveal()...)
	if err != nil {
		return err
	}
	return withStore(ctx, cfg, func(ctx context.Context, store *storage.Store) error {
		id, err := store.CreateUser(ctx, storage.NewUser{
			Email: p.Email, EmailKey: p.EmailKey, Name: p.Name, Role: p.Role,
		}, cfg.InvitationTTL, operator())
		if errors.Is(err, storage.ErrAlreadyExists) {
			return errors.New("there is a user with this address already")
		}
		if err != nil {
			return err
		}
		user, err := store.User(ctx, id)
		if err != nil {
			return err
		}
		if user.Invitation == nil {
			return fmt.Errorf("user %s was created without an invitation", id)
		}
		fmt.Fprintln(console.Stdout, cfg.PublicURL+"/invite/"+signer.InvitationToken(id, int(user.Invitation.Generation)))
		fmt.Fprintf(console.Stderr, "\nThe administrator is created. This link sets the password; it works once, until %s.\n",
			momentOr(user.Invitation.ExpiresAt, "it is used"))
		return nil
	})
}
