package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rollcall/auth"
	"rollcall/config"
	"rollcall/privacy"
	"rollcall/roster"
	"rollcall/storage"
)

func newUserExport(console Console) *cobra.Command {
	return onPerson(console, &cobra.Command{
		Use:   "export --email EMAIL",
		Short: "Print everything that is kept about a person, as JSON",
		Long: `Prints everything that is kept about a person: the account, where it is signed in,
what it did and what was done to it, and where files of imports name its address.`,
	}, func(ctx context.Context, office *privacy.Office, p storage.Person) error {
		report, err := office.Report(ctx, p, operator())
		if err != nil {
			return err
		}
		out := json.NewEncoder(console.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(report)
	})
}

func newUserErase(console Console) *cobra.Command {
	return onPerson(console, &cobra.Command{
		Use:   "erase --email EMAIL",
		Short: "Remove a person and everything that is kept about them",
		Long: `Removes a user and everything else that is kept about the person. What they did
stays on record under a keyed hash of the address. Kept files of imports that name
the address are removed as a whole. It cannot be taken back.`,
	}, func(ctx context.Context, office *privacy.Office, p storage.Person) error {
		erased, err := office.Erase(ctx, p, operator())
		if errors.Is(err, storage.ErrLastAdmin) {
			return errors.New("this is the last active administrator: make somebody else administrator first")
		}
		if busy, ok := errors.AsType[*privacy.BusyError](err); ok {
			return fmt.Errorf("%w: wait for it, or cancel it", busy)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(console.Stdout, "Erased. What remains is the keyed hash %s.\n", erased.Mark)
		for _, id := range erased.Files {
			fmt.Fprintf(console.Stdout, "The file of import %s named the address and is removed.\n", id)
		}
		return nil
	})
}

func newUserResetFactor(console Console) *cobra.Command {
	return &cobra.Command{
		Use:   "reset-second-factor EMAIL",
		Short: "Remove the second factor of somebody who lost it",
		Long: `Removes the second factor of a person who has lost both the authenticator app and the
recovery codes, and signs them out everywhere. They sign in with their password then and
can set up another. Make sure first that it is they who ask: nobody can do this in the
admin panel.`,
		Args: takes("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withPerson(cmd, console, "EMAIL", args[0], func(ctx context.Context, cfg config.Config, store *storage.Store, p storage.Person) error {
				err := store.ResetSecondFactor(ctx, p.UserID, operator())
				if errors.Is(err, storage.ErrNotFound) {
					return errors.New("this person has no second factor")
				}
				if err != nil {
					return err
				}
				fmt.Fprintln(console.Stdout, "The second factor is removed, and the person is signed out everywhere.")
				return nil
			})
		},
	}
}

// onPerson completes a command that does something to whom --email names.
func onPerson(console Console, cmd *cobra.Command, do func(context.Context, *privacy.Office, storage.Person) error) *cobra.Command {
	var email string
	cmd.Args = takes()
	cmd.Flags().StringVar(&email, "email", "", "the person's address")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := require(cmd, "email"); err != nil {
			return err
		}
		return withPerson(cmd, console, "--email", email, func(ctx context.Context, cfg config.Config, store *storage.Store, p storage.Person) error {
			signer, err := auth.NewSigner(cfg.Secret.Reveal(), cfg.SecretPrevious.Reveal()...)
			if err != nil {
				return err
			}
			return do(ctx, privacy.New(store, signer), p)
		})
	}
	return cmd
}

// withPerson finds whom an address names, given as the argument called name.
func withPerson(cmd *cobra.Command, console Console, name, email string, do func(context.Context, config.Config, *storage.Store, storage.Person) error) error {
	key, err := roster.EmailKey(email)
	if err != nil {
		return usageError{cmd.CommandPath(), name + ": " + err.Error()}
	}
	cfg, err := settings(console, config.LoadUser)
	if err != nil {
		return err
	}
	// Not withStore: files are searched, for as long as that takes.
	store, err := connect(cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	p, err := store.PersonByKey(cmd.Context(), key)
	if errors.Is(err, storage.ErrNotFound) {
		return errors.New("there is no user with this address")
	}
	if err != nil {
		return err
	}
	return do(cmd.Context(), cfg, store, p)
}
