package cli

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is shorter than the usual timeout of container health checks.
const healthTimeout = 4 * time.Second

// healthURL is where the API serves it unless ROLLCALL_METRICS_LISTEN is set.
const healthURL = "http://127.0.0.1:9090/readyz"

func newHealth() *cobra.Command {
	return &cobra.Command{
		Use:   "health [URL]",
		Short: "Check whether a running API server or worker is ready",
		Long: `Requests URL, by default ` + healthURL + `, and exits with 0 if the
response is 200, otherwise with 1. For health checks in containers without a shell.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{healthURL}
			}
			return checkHealth(cmd.Context(), args[0])
		},
	}
}

func checkHealth(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s returned %s", url, answer.Status)
	}
	return nil
}
