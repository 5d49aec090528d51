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
		Short: "Export all data about a person as JSON",
		Long: `Prints all data about a person as JSON: the account, its sessions, its audit log
entries, and the import files that contain the address.`,
	}, func(ctx context.Context, office *privacy.Service, p storage.DataSubject) error {
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
		Short: "Permanently delete all data about a person",
		Long: `Permanently deletes a user and all other data about the person. In stored import
files, rows that contain their address are blanked; other rows stay. Their past actions stay in the audit log
under an anonymous ID (a keyed hash of the address). This can't be undone.`,
	}, func(ctx context.Context, office *privacy.Service, p storage.DataSubject) error {
		erased, err := office.Erase(ctx, p, operator())
		if errors.Is(err, storage.ErrLastAdmin) {
			return errors.New("this is the last active administrator: make another user an administrator first")
		}
		if busy, ok := errors.AsType[*privacy.BusyError](err); ok {
			return fmt.Errorf("%w: wait for it to finish, or cancel it", busy)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(console.Stdout, "Erased. The audit log keeps the anonymous ID %s.\n", erased.Mark)
		for _, id := range erased.Files {
			fmt.Fprintf(console.Stdout, "Blanked the rows with this address in the file of import %s.\n", id)
		}
		return nil
	})
}

func newUserResetFactor(console Console) *cobra.Command {
	return &cobra.Command{
		Use:   "reset-second-factor EMAIL",
		Short: "Turn off two-factor authentication for a user who lost access to it",
		Long: `Turns off two-factor authentication for a user who has lost both the authenticator
app and the recovery codes, and signs them out everywhere. They can then sign in with
their password and set it up again. Verify the user's identity first. This is not
possible in the admin panel.`,
		Args: exactArgs("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withPerson(cmd, console, "EMAIL", args[0], func(ctx context.Context, cfg config.Config, store *storage.Store, p storage.DataSubject) error {
				err := store.ResetSecondFactor(ctx, p.UserID, operator())
				if errors.Is(err, storage.ErrNotFound) {
					return errors.New("two-factor authentication is not turned on for this user")
				}
				if err != nil {
					return err
				}
				fmt.Fprintln(console.Stdout, "Two-factor authentication is turned off, and the user is signed out everywhere.")
				return nil
			})
		},
	}
}

// onPerson completes a command that acts on the user named by --email.
func onPerson(console Console, cmd *cobra.Command, do func(context.Context, *privacy.Service, storage.DataSubject) error) *cobra.Command {
	var email string
	cmd.Args = exactArgs()
	cmd.Flags().StringVar(&email, "email", "", "email address of the person")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := requireFlags(cmd, "email"); err != nil {
			return err
		}
		return withPerson(cmd, console, "--email", email, func(ctx context.Context, cfg config.Config, store *storage.Store, p storage.DataSubject) error {
			signer, err := auth.NewSigner(cfg.Secret.Reveal(), cfg.SecretPrevious.Reveal()...)
			if err != nil {
				return err
			}
			return do(ctx, privacy.New(store, signer), p)
		})
	}
	return cmd
}

// withPerson finds the user with an address, given as the argument called name.
func withPerson(cmd *cobra.Command, console Console, name, email string, do func(context.Context, config.Config, *storage.Store, storage.DataSubject) error) error {
	key, err := roster.EmailKey(email)
	if err != nil {
		return usageError{cmd.CommandPath(), name + ": " + err.Error()}
	}
	cfg, err := settings(console, config.LoadUser)
	if err != nil {
		return err
	}
	// Not withStore: searching the files may take longer than its timeout.
	store, err := connect(cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	p, err := store.DataSubjectByKey(cmd.Context(), key)
	if errors.Is(err, storage.ErrNotFound) {
		return errors.New("no user has this email address")
	}
	if err != nil {
		return err
	}
	return do(cmd.Context(), cfg, store, p)
}
