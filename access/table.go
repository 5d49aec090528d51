package access

import "net/http"

// line is one route.
type line struct{ method, path string }

const (
	get  = http.MethodGet // and HEAD
	post = http.MethodPost
	put  = http.MethodPut
	del  = http.MethodDelete
)

// table is who may call what. [Starts] and [Reads] cover the caller's own
// imports and webhooks only, unless the token reads all or may do all: see
// objects.go.
var table = map[line]Need{
	// The API: tokens, no cookies.
	{post, "/api/admin/users/import"}:                                Starts,
	{get, "/api/admin/users/import/template.csv"}:                    Reads,
	{get, "/api/admin/users/import/errors"}:                          Reads,
	{get, "/api/admin/users/imports"}:                                Reads,
	{get, "/api/admin/users/imports/:id"}:                            Reads,
	{get, "/api/admin/users/imports/:id/events"}:                     Reads,
	{get, "/api/admin/users/imports/:id/errors"}:                     Reads,
	{get, "/api/admin/users/imports/:id/errors.csv"}:                 Reads,
	{get, "/api/admin/users/imports/:id/results.csv"}:                Reads,
	{get, "/api/admin/users/imports/:id/rows"}:                       Reads,
	{get, "/api/admin/users/imports/:id/file"}:                       Reads,
	{post, "/api/admin/users/imports/:id/confirm"}:                   Starts,
	{post, "/api/admin/users/imports/:id/cancel"}:                    Starts,
	{post, "/api/admin/users/imports/:id/undo"}:                      Starts,
	{post, "/api/admin/users/imports/:id/invitations/resend"}:        Starts,
	{get, "/api/admin/users"}:                                        All,
	{get, "/api/admin/users/:id"}:                                    All,
	{get, "/api/admin/users/:id/export"}:                             All,
	{del, "/api/admin/users/:id"}:                                    All,
	{post, "/api/admin/users/:id/invitation"}:                        All,
	{get, "/api/admin/settings/email"}:                               All,
	{put, "/api/admin/settings/email"}:                               All,
	{del, "/api/admin/settings/email"}:                               All,
	{post, "/api/admin/settings/email/test"}:                         All,
	{get, "/api/admin/webhooks"}:                                     Starts,
	{post, "/api/admin/webhooks"}:                                    Starts,
	{get, "/api/admin/webhooks/:id"}:                                 Starts,
	{del, "/api/admin/webhooks/:id"}:                                 Starts,
	{post, "/api/admin/webhooks/:id/rotate"}:                         Starts,
	{get, "/api/admin/webhooks/:id/deliveries"}:                      Starts,
	{post, "/api/admin/webhooks/:id/deliveries/:delivery/redeliver"}: Starts,

	// What describes the API, and tells whether it lives.
	{get, "/openapi.json"}:   Anybody,
	{get, "/openapi.yaml"}:   Anybody,
	{get, "/docs"}:           Anybody,
	{get, "/docs/style.css"}: Anybody,
	{get, "/healthz"}:        Anybody,
	{get, "/readyz"}:         Anybody,

	// Pages that stand before the sign-in. Links in mail carry their own right.
	{get, "/"}:               Anybody,
	{get, "/admin"}:          Anybody,
	{get, "/signin"}:         Anybody,
	{post, "/signin"}:        Anybody,
	{get, "/signin/code"}:    Anybody,
	{post, "/signin/code"}:   Anybody,
	{post, "/signout"}:       Anybody,
	{get, "/forgot"}:         Anybody,
	{post, "/forgot"}:        Anybody,
	{get, "/invite/:token"}:  Anybody,
	{post, "/invite/:token"}: Anybody,
	{get, "/reset/:token"}:   Anybody,
	{post, "/reset/:token"}:  Anybody,

	// The captured mail of a private instance, which listens on this machine only.
	{get, "/dev/mail"}:          Anybody,
	{get, "/dev/mail/:id"}:      Anybody,
	{get, "/dev/mail/:id/html"}: Anybody,

	// Pages: sessions, no tokens. The list of users shows others than oneself to
	// administrators only.
	{get, "/admin/users"}:                          SignedIn,
	{get, "/admin/account"}:                        SignedIn,
	{post, "/admin/account/password"}:              SignedIn,
	{post, "/admin/account/sessions"}:              SignedIn,
	{get, "/admin/account/second-factor"}:          SettingUp,
	{post, "/admin/account/second-factor"}:         SettingUp,
	{post, "/admin/account/second-factor/confirm"}: SettingUp,
	{post, "/admin/account/second-factor/codes"}:   SignedIn,
	{post, "/admin/account/second-factor/remove"}:  SignedIn,
	{get, "/admin/users/export.csv"}:               Administrator,
	{get, "/admin/users/change"}:                   Administrator,
	{post, "/admin/users/change"}:                  Administrator,
	{get, "/admin/settings/email"}:                 Administrator,
	{post, "/admin/settings/email"}:                Administrator,
	{post, "/admin/settings/email/clear"}:          Administrator,
	{post, "/admin/settings/email/test"}:           Administrator,
	{get, "/admin/settings/tokens"}:                Administrator,
	{post, "/admin/settings/tokens"}:               Administrator,
	{post, "/admin/settings/tokens/:id/revoke"}:    Administrator,
	{get, "/admin/audit"}:                          Administrator,
	{get, "/admin/users/import"}:                   Administrator,
	{post, "/admin/users/import"}:                  Administrator,
	{get, "/admin/users/import/template.csv"}:      Administrator,
	{get, "/admin/imports"}:                        Administrator,
	{get, "/admin/imports/:id"}:                    Administrator,
	{get, "/admin/imports/:id/mended"}:             Administrator,
	{post, "/admin/imports/:id/mended"}:            Administrator,
	{get, "/admin/imports/:id/progress"}:           Administrator,
	{get, "/admin/imports/:id/events"}:             Administrator,
	{post, "/admin/imports/:id/again"}:             Administrator,
	{post, "/admin/imports/:id/confirm"}:           Administrator,
	{post, "/admin/imports/:id/cancel"}:            Administrator,
	{post, "/admin/imports/:id/resend"}:            Administrator,
	{get, "/admin/imports/:id/undo"}:               Administrator,
	{post, "/admin/imports/:id/undo"}:              Administrator,
	{get, "/admin/imports/:id/errors.csv"}:         Administrator,
	{get, "/admin/imports/:id/results.csv"}:        Administrator,
}
