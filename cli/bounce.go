package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"rollcall/app"
	"rollcall/config"
	"rollcall/jobs/bounces"
	"rollcall/storage"
)

// exitTryLater is EX_TEMPFAIL: a mail server delivers the mail again later.
const exitTryLater exit = 75

func newBounce(console Console) *cobra.Command {
	var recipient string
	cmd := &cobra.Command{
		Use:   "bounce",
		Short: "Record one returned email",
		Long: `Reads one returned email from standard input and records it: the invitation it is
about becomes bounced. Have your mail server pipe the mail for ROLLCALL_BOUNCE_ADDRESS,
and for every address with a plus sign behind its name, to this command.

Exit code 0: recorded, or not about an email of this installation; 75: could not be
recorded now, deliver it again later.`,
		Example: `  rollcall bounce --recipient "$RECIPIENT" < message.eml`,
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := recordBounce(cmd.Context(), console, recipient); err != nil {
				explain(console.Stderr, err)
				return exitTryLater
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&recipient, "recipient", "", "address the email was delivered to; found in its headers if not given")
	return cmd
}

func recordBounce(ctx context.Context, console Console, recipient string) error {
	cfg, err := settings(console, config.LoadBounce)
	if err != nil {
		return err
	}
	signer, err := app.NewSigner(cfg)
	if err != nil {
		return err
	}
	err = withStore(ctx, cfg, func(ctx context.Context, store *storage.Store) error {
		var recipients []string
		if recipient != "" {
			recipients = append(recipients, recipient)
		}
		return bounces.NewRecorder(store, signer, bounces.NewMetrics(nil)).Mail(ctx, console.Stdin, recipients...)
	})
	if err != nil {
		return err
	}
	// A mail server that is still writing would take a closed pipe for a failure.
	if _, err := io.Copy(io.Discard, console.Stdin); err != nil {
		return fmt.Errorf("read the email: %w", err)
	}
	return nil
}
