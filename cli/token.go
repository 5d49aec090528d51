package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"rollcall/auth"
	"rollcall/cli/termtext"
	"rollcall/config"
	"rollcall/roster"
	"rollcall/storage"
)

const (
	maxTokenName = 100 // characters

	minTokenLife = time.Minute
	maxTokenLife = 3650 * day
	day          = 24 * time.Hour
)

var errLife = errors.New("--expires must be a duration such as 90d, 36h or 1d12h, between 1m and 3650d, or never")

func newToken(console Console) *cobra.Command {
	return group(&cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke API tokens",
		Long: `API tokens let programs call the HTTP API. These commands use the database in
DATABASE_URL directly; no server or token is needed.`,
	}, newTokenCreate(console), newTokenList(console), newTokenRevoke(console))
}

func newTokenCreate(console Console) *cobra.Command {
	var name, expires, source, notify, every string
	var failuresOnly bool
	var scopes []string
	create := &cobra.Command{
		Use:   "create --name NAME",
		Short: "Create an API token",
		Long: `Creates an API token and prints it. It is shown only once; Rollcall stores only its
SHA-256. Only the token goes to standard output, so that
TOKEN=$(rollcall token create --name ci) works.

Scopes:

  imports       start imports and read their results; rows with the role admin are
                refused unless the server says ROLLCALL_IMPORT_ADMINS=imports
  imports:read  read all imports, without changing anything
  admin         everything an administrator can do: create and remove
                administrators, change email settings, export and erase users

A token created here belongs to no user and works until it expires or is revoked.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := requireFlags(cmd, "name"); err != nil {
				return err
			}
			order, err := newTokenOrder(name, scopes, expires, source)
			if err == nil {
				order.tell, err = newTokenNotices(notify, failuresOnly, every)
			}
			if err != nil {
				return usageError{cmd.CommandPath(), err.Error()}
			}
			return createToken(cmd.Context(), console, order)
		},
	}
	create.Flags().StringVar(&name, "name", "", "name shown in lists, such as what the token is for")
	create.Flags().StringSliceVar(&scopes, "scope", []string{string(auth.ScopeImports)}, "imports, imports:read or admin; repeat or separate with commas")
	create.Flags().StringVar(&expires, "expires", "90d", "lifetime, such as 90d or 36h, or never")
	create.Flags().StringVar(&source, "source", roster.DefaultSource, "system whose external_id values the token's imports contain")
	create.Flags().StringVar(&notify, "notify", "", "addresses, separated by commas, that get an email when one of its imports ends")
	create.Flags().BoolVar(&failuresOnly, "notify-failures", false, "with --notify: only when something failed")
	create.Flags().StringVar(&every, "expected-every", "", "time within which another import should complete, such as 26h; otherwise administrators get an email")
	complete(create, "scope", string(auth.ScopeImports), string(auth.ScopeImportsRead), string(auth.ScopeAdmin))
	return create
}

// tokenOrder is a token to create.
type tokenOrder struct {
	name   string
	scopes []string
	source string
	life   time.Duration // 0: it never expires
	tell   storage.TokenNotices
}

func newTokenNotices(notify string, failuresOnly bool, every string) (tell storage.TokenNotices, err error) {
	if tell.Notify, err = roster.ParseNotify(notify); err != nil {
		return tell, fmt.Errorf("--notify must be up to %d email addresses, separated by commas: %w", roster.MaxNotify, err)
	}
	if tell.FailuresOnly = failuresOnly; failuresOnly && len(tell.Notify) == 0 {
		return tell, errors.New("--notify-failures needs --notify")
	}
	if every == "" {
		return tell, nil
	}
	tell.Every, err = parseLife(every)
	if err != nil || tell.Every == 0 || tell.Every%time.Second != 0 {
		return tell, errors.New("--expected-every must be a duration such as 26h or 8d, between 1m and 3650d")
	}
	return tell, nil
}

func newTokenOrder(name string, scopes []string, expires, source string) (tokenOrder, error) {
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
	if !roster.ValidSource(source) {
		return tokenOrder{}, errors.New("--source must have 1 to 64 letters, digits, dots, underscores or hyphens, and start with a letter or digit")
	}
	order := tokenOrder{name: name, source: source, life: life}
	for _, scope := range parsed {
		order.scopes = append(order.scopes, string(scope))
	}
	return order, nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// parseLife parses days and then whatever time.ParseDuration accepts, in this
// order, or "never" as 0.
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
		token, err := store.CreateSourceToken(ctx, order.name, hash, order.scopes, order.source, order.life, order.tell, operator())
		if err != nil {
			return err
		}
		fmt.Fprintln(console.Stdout, secret)
		fmt.Fprintf(console.Stderr, tokenNote, order.name, strings.Join(token.Scopes, ", "),
			expiry(token), scopeNotes(order.scopes), token.ID, exampleCall(order.scopes, serverURL(console, cfg), tokenInCurl(console, secret)))
		return nil
	})
}

const tokenNote = `
API token %q (%s), %s. It won't be shown again.
%sRevoke it with: rollcall token revoke %s
Try it:

  %s
`

// exampleCall is a command that works with the token's scopes.
func exampleCall(scopes []string, server, token string) string {
	call := fmt.Sprintf(`curl %s/api/admin/users/imports -H "Authorization: Bearer %s"`, server, token)
	if slices.Contains(scopes, string(auth.ScopeImports)) || slices.Contains(scopes, string(auth.ScopeAdmin)) {
		call = fmt.Sprintf(`curl -X POST %s/api/admin/users/import -H "Authorization: Bearer %s" -F "file=@users.csv"`, server, token)
	}
	return call
}

// scopeNotes describes what each scope allows, one line each.
func scopeNotes(scopes []string) string {
	var b strings.Builder
	for _, scope := range scopes {
		switch auth.Scope(scope) {
		case auth.ScopeImports:
			b.WriteString("It can start imports and read their results. Rows with the role admin need the scope admin.\n")
		case auth.ScopeImportsRead:
			b.WriteString("It can read all imports, without changing anything.\n")
		case auth.ScopeAdmin:
			b.WriteString("It can do everything an administrator can: keep it as safe as an administrator's password.\n")
		}
	}
	return b.String()
}

func expiry(t storage.Token) string {
	if t.ExpiresAt == nil {
		return "never expires"
	}
	return "expires on " + moment(*t.ExpiresAt)
}

// tokenInCurl is the token in the curl command: the token itself on a terminal,
// otherwise a variable, because standard error may be a log.
func tokenInCurl(console Console, secret string) string {
	if terminalWidth(console.Stdout) > 0 && terminalWidth(console.Stderr) > 0 {
		return secret
	}
	return "$TOKEN"
}

// serverURL is the API address that the import command would use if one is set,
// else the one that this installation is known by.
func serverURL(console Console, cfg config.Config) string {
	isSet := func(variable string) bool {
		name, value, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "ROLLCALL_URL") && value != "" // or ROLLCALL_URL_FILE
	}
	if own, err := config.LoadImport(console.Environ); err == nil && slices.ContainsFunc(console.Environ, isSet) {
		return own.ServerURL
	}
	return cfg.PublicURL
}

func newTokenList(console Console) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the API tokens, newest first",
		Long: `Lists all API tokens, newest first, including expired and revoked ones. A token
that was created in the admin panel has an owner and is inactive while that user
is not an active administrator; another administrator can take it over there.`,
		Args: exactArgs(),
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
					fmt.Fprintln(console.Stderr, "No API tokens. Create one with: rollcall token create --name NAME")
					return nil
				}
				table := tabwriter.NewWriter(console.Stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "ID\tNAME\tSCOPES\tSTATE\tOWNER\tCREATED\tEXPIRES\tLAST USED")
				for _, t := range tokens {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, termtext.Sanitize(t.Name), strings.Join(t.Scopes, ","),
						tokenState(t, now), tokenOwner(t), moment(t.CreatedAt), momentOr(t.ExpiresAt, "never"), momentOr(t.LastUsedAt, "never"))
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
	case t.Orphaned:
		return "inactive"
	default:
		return "active"
	}
}

// tokenOwner names the owner of a token. The token works only while its owner
// is an active administrator.
func tokenOwner(t storage.Token) string {
	switch {
	case t.OwnerID == nil:
		return "none"
	case t.Owner == "":
		return "erased user"
	}
	return termtext.Sanitize(t.Owner)
}

func newTokenRevoke(console Console) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke an API token",
		Long: `Permanently revokes an API token; the next request with it is rejected.
'rollcall token list' shows the IDs.`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := uuid.Parse(args[0])
			if err != nil {
				// Do not repeat it: it may be the token itself.
				return usageError{cmd.CommandPath(), "not a token ID; 'rollcall token list' shows the IDs"}
			}
			cfg, err := settings(console, config.LoadToken)
			if err != nil {
				return err
			}
			return withStore(cmd.Context(), cfg, func(ctx context.Context, store *storage.Store) error {
				err := store.RevokeToken(ctx, id, operator())
				if errors.Is(err, storage.ErrNotFound) {
					return fmt.Errorf("no API token has the ID %s; 'rollcall token list' shows the IDs", id)
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(console.Stdout, "Token %s revoked.\n", id)
				return nil
			})
		},
	}
}
