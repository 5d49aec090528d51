package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"rollcall/auth"
	"rollcall/cli/terminal"
	"rollcall/config"
	"rollcall/storage"
)

const (
	maxTokenName = 100 // characters

	minTokenLife = time.Minute
	maxTokenLife = 3650 * day
	day          = 24 * time.Hour
)

var errLife = errors.New("--expires must be a time such as 90d, 36h or 1d12h, from 1m to 3650d, or never")

func newToken(console Console) *cobra.Command {
	return group(&cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke API tokens",
		Long: `API tokens let programs call the HTTP API. These commands work on the database of
DATABASE_URL, so they need no server and no token.`,
	}, newTokenCreate(console), newTokenList(console), newTokenRevoke(console))
}

func newTokenCreate(console Console) *cobra.Command {
	var name, expires string
	var scopes []string
	create := &cobra.Command{
		Use:   "create --name NAME",
		Short: "Create an API token",
		Long: `Creates an API token and prints it, once: only its SHA-256 is kept. The token alone
goes to standard output, so that TOKEN=$(rollcall token create --name ci) works;
the rest goes to standard error.

Scopes: imports (start imports and read one's own), imports:read (read imports),
admin (everything).`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := require(cmd, "name"); err != nil {
				return err
			}
			order, err := newTokenOrder(name, scopes, expires)
			if err != nil {
				return usageError{cmd.CommandPath(), err.Error()}
			}
			return createToken(cmd.Context(), console, order)
		},
	}
	create.Flags().StringVar(&name, "name", "", "what it is for, as shown in lists")
	create.Flags().StringSliceVar(&scopes, "scope", []string{string(auth.ScopeImports)}, "what it may do; repeat it or separate by commas")
	create.Flags().StringVar(&expires, "expires", "90d", "its life: days such as 90d, or hours such as 36h; never for no end")
	complete(create, "scope", string(auth.ScopeImports), string(auth.ScopeImportsRead), string(auth.ScopeAdmin))
	return create
}

// tokenOrder is a token somebody asks for.
type tokenOrder struct {
	name   string
	scopes []string
	life   time.Duration // 0: it never expires
}

func newTokenOrder(name string, scopes []string, expires string) (tokenOrder, error) {
	name = strings.TrimSpace(name)
	if name == "" || utf8.RuneCountInString(name) > maxTokenName || strings.ContainsFunc(name, unprintable) {
		return tokenOrder{}, fmt.Errorf("--name must have 1 to %d printable characters", maxTokenName)
	}
	parsed, err := auth.ParseScopes(strings.Join(scopes, ","))
	if err != nil || len(parsed) == 0 {
		return tokenOrder{}, errors.New("--scope must be imports, imports:read or admin")
	}
	life, err := parseLife(expires)
	if err != nil {
		return tokenOrder{}, err
	}
	order := tokenOrder{name: name, life: life}
	for _, scope := range parsed {
		order.scopes = append(order.scopes, string(scope))
	}
	return order, nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// parseLife reads a number of days and whatever time.ParseDuration reads, in
// this order, or never: 0.
func parseLife(text string) (time.Duration, error) {
	if text == "never" {
		return 0, nil
	}
	var life time.Duration
	rest := text
	if days, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, errLife
		}
		life, rest = time.Duration(n)*day, after
	}
	if rest != "" || text == "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 {
			return 0, errLife
		}
		life += more
	}
	if life < minTokenLife || life > maxTokenLife {
		return 0, errLife
	}
	return life, nil
}

func createToken(ctx context.Context, console Console, order tokenOrder) error {
	cfg, err := settings(console, config.LoadToken)
	if err != nil {
		return err
	}
	return withStore(ctx, cfg, func(ctx context.Context, store *storage.Store) error {
		secret, hash := auth.NewToken()
		token, err := store.CreateToken(ctx, order.name, hash, order.scopes, order.life, operator())
		if err != nil {
			return err
		}
		fmt.Fprintln(console.Stdout, secret)
		fmt.Fprintf(console.Stderr, tokenNote, order.name, strings.Join(token.Scopes, ", "),
			expiry(token), token.ID, serverURL(console), tokenInCurl(console, secret))
		return nil
	})
}

const tokenNote = `
This is the API token %q (%s), which %s. It is not shown again.
Revoke it with: rollcall token revoke %s
Try it:

  curl -X POST %s/api/admin/users/import -H "Authorization: Bearer %s" -F "file=@users.csv"
`

func expiry(t storage.Token) string {
	if t.ExpiresAt == nil {
		return "never expires"
	}
	return "expires on " + moment(*t.ExpiresAt)
}

// tokenInCurl is what stands for the token in the line to paste: itself where a
// person reads it, otherwise a variable, for then standard error is a log.
func tokenInCurl(console Console, secret string) string {
	if terminalWidth(console.Stdout) > 0 && terminalWidth(console.Stderr) > 0 {
		return secret
	}
	return "$TOKEN"
}

// serverURL is where the import command would find the API.
func serverURL(console Console) string {
	if cfg, err := config.LoadImport(console.Environ); err == nil {
		return cfg.ServerURL
	}
	return "http://localhost:8080"
}

func newTokenList(console Console) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the API tokens, newest first",
		Long:  `Lists the API tokens, newest first, with the expired and the revoked ones.`,
		Args:  takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := settings(console, config.LoadToken)
			if err != nil {
				return err
			}
			return withStore(cmd.Context(), cfg, func(ctx context.Context, store *storage.Store) error {
				now, err := store.Now(ctx)
				if err != nil {
					return err
				}
				tokens, err := store.Tokens(ctx)
				if err != nil {
					return err
				}
				if len(tokens) == 0 {
					fmt.Fprintln(console.Stderr, "There are no API tokens. Create one with: rollcall token create --name NAME")
					return nil
				}
				table := tabwriter.NewWriter(console.Stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "ID\tNAME\tSCOPES\tSTATE\tCREATED\tEXPIRES\tLAST USED")
				for _, t := range tokens {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, terminal.Visible(t.Name), strings.Join(t.Scopes, ","),
						tokenState(t, now), moment(t.CreatedAt), momentOr(t.ExpiresAt, "never"), momentOr(t.LastUsedAt, "never"))
				}
				return table.Flush()
			})
		},
	}
}

func tokenState(t storage.Token, now time.Time) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case t.ExpiresAt != nil && !t.ExpiresAt.After(now):
		return "expired"
	default:
		return "good"
	}
}

func newTokenRevoke(console Console) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke an API token",
		Long:  `Ends an API token for good, from the next request on. 'rollcall token list' shows the ids.`,
		Args:  takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := uuid.Parse(args[0])
			if err != nil {
				// It may be the token itself: not repeated.
				return usageError{cmd.CommandPath(), "that is not the ID of a token: 'rollcall token list' shows them"}
			}
			cfg, err := settings(console, config.LoadToken)
			if err != nil {
				return err
			}
			return withStore(cmd.Context(), cfg, func(ctx context.Context, store *storage.Store) error {
				err := store.RevokeToken(ctx, id, operator())
				if errors.Is(err, storage.ErrNotFound) {
					return fmt.Errorf("there is no API token %s: 'rollcall token list' shows them", id)
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(console.Stdout, "Token %s is revoked.\n", id)
				return nil
			})
		},
	}
}
