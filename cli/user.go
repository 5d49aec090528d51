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
		Short: "Create the first administrator, export or erase a person's data, reset two-factor authentication",
		Long:  `These commands use the database in DATABASE_URL directly; no server or token is needed.`,
	}, newUserCreateAdmin(console), newUserExport(console), newUserErase(console), newUserResetFactor(console))
}

func newUserCreateAdmin(console Console) *cobra.Command {
	var email, name string
	create := &cobra.Command{
		Use:   "create-admin --email EMAIL --name NAME",
		Short: "Create an administrator",
		Long: `Creates an administrator and prints a link to set the password. No email is sent.
Only the link goes to standard output.

The link starts with ROLLCALL_PUBLIC_URL, is signed with ROLLCALL_SECRET (use the
same value as the API server) and expires after ROLLCALL_INVITATION_TTL.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := requireFlags(cmd, "email", "name"); err != nil {
				return err
			}
			person, problems := roster.CheckRow(roster.Cells{Email: email, Name: name, Role: string(roster.RoleAdmin)})
			if len(problems) > 0 {
				return usageError{cmd.CommandPath(), fmt.Sprintf("--%s: %s", problems[0].Field, problems[0].Message)}
			}
			return createAdmin(cmd.Context(), console, person)
		},
	}
	create.Flags().StringVar(&email, "email", "", "email address to sign in with")
	create.Flags().StringVar(&name, "name", "", "display name")
	return create
}

func createAdmin(ctx context.Context, console Console, p roster.UserFields) error {
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
			return errors.New("a user with this email address already exists")
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
		fmt.Fprintf(console.Stderr, "\nAdministrator created. Open this link to set the password. It works once, until %s.\n",
			momentOr(user.Invitation.ExpiresAt, "it is used"))
		return nil
	})
}
