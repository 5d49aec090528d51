package access

import "net/http"

// route is one route.
type route struct{ method, path string }

const (
	get  = http.MethodGet // and HEAD
	post = http.MethodPost
	put  = http.MethodPut
	del  = http.MethodDelete

	patch = http.MethodPatch
)

// table lists who may call what. [TokenImports] and [TokenImportsRead] cover
// only the caller's own imports and webhooks, unless the token has a wider
// scope: see ownership.go.
var table = map[route]Requirement{
	// The API: tokens, no cookies.
	{post, "/api/admin/users/import"}:                                TokenImports,
	{get, "/api/admin/users/import/template.csv"}:                    TokenImportsRead,
	{get, "/api/admin/users/import/template.xlsx"}:                   TokenImportsRead,
	{get, "/api/admin/users/import/errors"}:                          TokenImportsRead,
	{get, "/api/admin/users/imports"}:                                TokenImportsRead,
	{get, "/api/admin/users/imports/:id"}:                            TokenImportsRead,
	{get, "/api/admin/users/imports/:id/events"}:                     TokenImportsRead,
	{get, "/api/admin/users/imports/:id/errors"}:                     TokenImportsRead,
	{get, "/api/admin/users/imports/:id/errors.csv"}:                 TokenImportsRead,
	{get, "/api/admin/users/imports/:id/errors.xlsx"}:                TokenImportsRead,
	{get, "/api/admin/users/imports/:id/results.csv"}:                TokenImportsRead,
	{get, "/api/admin/users/imports/:id/rows"}:                       TokenImportsRead,
	{patch, "/api/admin/users/imports/:id/rows/:row"}:                TokenImports,
	{post, "/api/admin/users/imports/:id/suggestions"}:               TokenImports,
	{get, "/api/admin/users/imports/:id/missing"}:                    TokenImportsRead,
	{get, "/api/admin/users/imports/:id/file"}:                       TokenImportsRead,
	{post, "/api/admin/users/imports/:id/confirm"}:                   TokenImports,
	{post, "/api/admin/users/imports/:id/cancel"}:                    TokenImports,
	{post, "/api/admin/users/imports/:id/undo"}:                      TokenImports,
	{post, "/api/admin/users/imports/:id/invitations/resend"}:        TokenImports,
	{get, "/api/admin/users"}:                                        TokenAdmin,
	{post, "/api/admin/users"}:                                       TokenAdmin,
	{get, "/api/admin/users/changes"}:                                TokenAdmin,
	{get, "/api/admin/users/:id"}:                                    TokenAdmin,
	{patch, "/api/admin/users/:id"}:                                  TokenAdmin,
	{get, "/api/admin/users/:id/export"}:                             TokenAdmin,
	{del, "/api/admin/users/:id"}:                                    TokenAdmin,
	{post, "/api/admin/users/:id/invitation"}:                        TokenAdmin,
	{get, "/api/admin/import-profiles"}:                              TokenImportsRead,
	{get, "/api/admin/import-profiles/:name"}:                        TokenImportsRead,
	{put, "/api/admin/import-profiles/:name"}:                        TokenAdmin,
	{del, "/api/admin/import-profiles/:name"}:                        TokenAdmin,
	{post, "/api/admin/users/invitations/retry"}:                     TokenAdmin,
	{get, "/api/admin/settings/email"}:                               TokenAdmin,
	{put, "/api/admin/settings/email"}:                               TokenAdmin,
	{del, "/api/admin/settings/email"}:                               TokenAdmin,
	{post, "/api/admin/settings/email/test"}:                         TokenAdmin,
	{get, "/api/admin/settings/invitation"}:                          TokenAdmin,
	{put, "/api/admin/settings/invitation"}:                          TokenAdmin,
	{post, "/api/admin/settings/invitation/preview"}:                 TokenAdmin,
	{get, "/api/admin/webhooks"}:                                     TokenImports,
	{post, "/api/admin/webhooks"}:                                    TokenImports,
	{get, "/api/admin/webhooks/:id"}:                                 TokenImports,
	{del, "/api/admin/webhooks/:id"}:                                 TokenImports,
	{post, "/api/admin/webhooks/:id/rotate"}:                         TokenImports,
	{get, "/api/admin/webhooks/:id/deliveries"}:                      TokenImports,
	{post, "/api/admin/webhooks/:id/deliveries/:delivery/redeliver"}: TokenImports,

	// Events of mail providers, which sign them.
	{post, "/hooks/mail/ses"}:      Public,
	{post, "/hooks/mail/sendgrid"}: Public,
	{post, "/hooks/mail/postmark"}: Public,

	// API documentation and health checks.
	{get, "/openapi.json"}: Public,
	{get, "/openapi.yaml"}: Public,
	{get, "/docs"}:         Public,
	{get, "/docs/:file"}:   Public,
	{get, "/healthz"}:      Public,
	{get, "/readyz"}:       Public,

	// Pages outside the sign-in. Links in mail authorize themselves.
	{get, "/"}:                     Public,
	{get, "/admin"}:                Public,
	{get, "/signin"}:               Public,
	{post, "/signin"}:              Public,
	{get, "/signin/code"}:          Public,
	{post, "/signin/code"}:         Public,
	{post, "/signout"}:             Public,
	{get, "/forgot"}:               Public,
	{post, "/forgot"}:              Public,
	{get, "/invite/:token"}:        Public,
	{post, "/invite/:token"}:       Public,
	{post, "/invite/:token/renew"}: Public,
	{get, "/reset/:token"}:         Public,
	{post, "/reset/:token"}:        Public,

	// Captured mail of a private instance, which listens on this machine only.
	{get, "/dev/mail"}:          Public,
	{get, "/dev/mail/:id"}:      Public,
	{get, "/dev/mail/:id/html"}: Public,

	// Pages: sessions, no tokens. Only administrators see other users in the
	// list of users.
	{get, "/admin/users"}:                           SignedIn,
	{get, "/admin/account"}:                         SignedIn,
	{post, "/admin/account/password"}:               SignedIn,
	{post, "/admin/account/sessions"}:               SignedIn,
	{get, "/admin/account/second-factor"}:           Enrolling2FA,
	{post, "/admin/account/second-factor"}:          Enrolling2FA,
	{post, "/admin/account/second-factor/confirm"}:  Enrolling2FA,
	{post, "/admin/account/second-factor/codes"}:    SignedIn,
	{post, "/admin/account/second-factor/remove"}:   SignedIn,
	{get, "/admin/users/export.csv"}:                Admin,
	{post, "/admin/users/export.csv"}:               Admin,
	{get, "/admin/users/change"}:                    Admin,
	{post, "/admin/users/change"}:                   Admin,
	{get, "/admin/users/remind"}:                    Admin,
	{post, "/admin/users/remind"}:                   Admin,
	{get, "/admin/onboarding"}:                      Admin,
	{get, "/admin/settings/email"}:                  Admin,
	{post, "/admin/settings/email"}:                 Admin,
	{post, "/admin/settings/email/clear"}:           Admin,
	{post, "/admin/settings/email/retry"}:           Admin,
	{post, "/admin/settings/email/test"}:            Admin,
	{get, "/admin/settings/invitation"}:             Admin,
	{get, "/admin/settings/invitation/preview"}:     Admin,
	{post, "/admin/settings/invitation"}:            Admin,
	{post, "/admin/settings/invitation/test"}:       Admin,
	{get, "/admin/settings/tokens"}:                 Admin,
	{post, "/admin/settings/tokens"}:                Admin,
	{post, "/admin/settings/tokens/:id/revoke"}:     Admin,
	{post, "/admin/settings/tokens/:id/transfer"}:   Admin,
	{get, "/admin/settings/profiles"}:               Admin,
	{post, "/admin/settings/profiles/:name/delete"}: Admin,
	{get, "/admin/audit"}:                           Admin,
	{get, "/admin/users/import"}:                    Admin,
	{post, "/admin/users/import"}:                   Admin,
	{get, "/admin/users/import/template.csv"}:       Admin,
	{get, "/admin/users/import/template.xlsx"}:      Admin,
	{get, "/admin/imports"}:                         Admin,
	{get, "/admin/imports/:id"}:                     Admin,
	{get, "/admin/imports/:id/corrections"}:         Admin,
	{post, "/admin/imports/:id/corrections"}:        Admin,
	{get, "/admin/imports/:id/progress"}:            Admin,
	{get, "/admin/imports/:id/events"}:              Admin,
	{post, "/admin/imports/:id/reread"}:             Admin,
	{post, "/admin/imports/:id/profile"}:            Admin,
	{post, "/admin/imports/:id/profile/use"}:        Admin,
	{post, "/admin/imports/:id/rows/:row"}:          Admin,
	{post, "/admin/imports/:id/suggestions"}:        Admin,
	{post, "/admin/imports/:id/confirm"}:            Admin,
	{post, "/admin/imports/:id/cancel"}:             Admin,
	{post, "/admin/imports/:id/resend"}:             Admin,
	{get, "/admin/imports/:id/undo"}:                Admin,
	{post, "/admin/imports/:id/undo"}:               Admin,
	{get, "/admin/imports/:id/errors.csv"}:          Admin,
	{get, "/admin/imports/:id/errors.xlsx"}:         Admin,
	{get, "/admin/imports/:id/results.csv"}:         Admin,
}
