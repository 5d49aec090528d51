package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
	"rollcall/httpapi/problem"
	"rollcall/httpapi/upload"
	"rollcall/roster"
	"rollcall/storage"
)

// profilesPath is the path of import profiles in the API.
const profilesPath = prefix + "/import-profiles"

// profileView is the JSON form of an import profile: its options beside the
// members that are not options.
func profileView(p *storage.ImportProfile) map[string]any {
	v := map[string]any{"name": p.Name, "created_at": p.CreatedAt.UTC().Format(time.RFC3339Nano), "updated_at": p.UpdatedAt.UTC().Format(time.RFC3339Nano)}
	for name, raw := range p.Options {
		v[name] = raw
	}
	return v
}

// notOptions are the members of a profile that may be sent back.
var notOptions = []string{"name", "created_at", "updated_at"}

func profileTag(p *storage.ImportProfile) string { return `"` + p.Tag() + `"` }

// listProfiles is GET /api/admin/import-profiles.
func (a *API) listProfiles(c *gin.Context, _ caller) error {
	profiles, err := a.Store.ImportProfiles(c.Request.Context())
	if err != nil {
		return err
	}
	items := make([]map[string]any, len(profiles))
	for k, p := range profiles {
		items[k] = profileView(p)
	}
	return answerAll(a, c, items)
}

// pathProfile is the name of a profile in the path.
func pathProfile(c *gin.Context, _ caller) (string, error) {
	name := c.Param("name")
	if !roster.ValidProfileName(name) && c.Request.Method == http.MethodPut {
		return "", problem.Parameter("name", "A profile's name must have 1 to 64 letters, digits, dots, underscores or hyphens, and start with a letter or digit.")
	}
	if !roster.ValidProfileName(name) {
		return "", storage.ErrNotFound
	}
	return name, nil
}

// showProfile is GET /api/admin/import-profiles/{name}.
func (a *API) showProfile(c *gin.Context, _ caller, name string) error {
	p, err := a.Store.ImportProfile(c.Request.Context(), name)
	if err != nil {
		return err
	}
	h := c.Writer.Header()
	h.Set("ETag", profileTag(p))
	h.Set("Cache-Control", "private, no-cache")
	if matches(c.Request.Header.Values("If-None-Match"), profileTag(p)) {
		c.Status(http.StatusNotModified)
		return nil
	}
	return a.json(c, http.StatusOK, profileView(p))
}

// setProfile is PUT /api/admin/import-profiles/{name}.
func (a *API) setProfile(c *gin.Context, by caller, name string) error {
	var members map[string]json.RawMessage
	present, err := readJSON(c, &members)
	if err != nil {
		return err
	}
	if !present || members == nil {
		return problem.New(problem.InvalidParameter, "The body must be one JSON object with the options of the profile.")
	}
	var named string
	if raw, has := members["name"]; has && (json.Unmarshal(raw, &named) != nil || named != name) {
		return problem.Parameter("name", "name must be the name in the path, %s.", name)
	}
	members = maps.Clone(members)
	for _, member := range notOptions {
		delete(members, member)
	}
	options, err := upload.CheckProfile(members, a.uploadRights(c.Request.Context(), by))
	if err != nil {
		return err
	}
	p, created, err := a.Store.SetImportProfile(c.Request.Context(), name, options, condition(c.Request.Header), by.entry())
	if err != nil {
		return profileProblem(err)
	}
	c.Header("ETag", profileTag(p))
	if created {
		c.Header("Location", profilesPath+"/"+p.Name)
		return a.json(c, http.StatusCreated, profileView(p))
	}
	return a.json(c, http.StatusOK, profileView(p))
}

// deleteProfile is DELETE /api/admin/import-profiles/{name}.
func (a *API) deleteProfile(c *gin.Context, by caller, name string) error {
	if err := a.Store.DeleteImportProfile(c.Request.Context(), name, condition(c.Request.Header), by.entry()); err != nil {
		return profileProblem(err)
	}
	c.Status(http.StatusNoContent)
	return nil
}

func profileProblem(err error) error {
	switch {
	case errors.Is(err, storage.ErrPrecondition):
		return problem.New(problem.PreconditionFailed, "The profile is not as If-Match or If-None-Match says. Read it again.")
	case errors.Is(err, storage.ErrTooManyProfiles):
		return problem.New(problem.WrongState, "There are already %d import profiles, the maximum. Delete one first.", storage.MaxImportProfiles)
	}
	return err
}

// condition is what If-Match and If-None-Match demand of the profile that is
// there (RFC 9110, section 13.1); nil for nothing. If-Match compares strongly.
func condition(h http.Header) storage.ProfileCondition {
	match, none := h.Values("If-Match"), h.Values("If-None-Match")
	if len(match) == 0 && len(none) == 0 {
		return nil
	}
	return func(p *storage.ImportProfile) bool {
		if p == nil {
			return len(match) == 0
		}
		if len(match) > 0 && !matchesStrongly(match, profileTag(p)) {
			return false
		}
		return len(none) == 0 || !matches(none, profileTag(p))
	}
}

func matchesStrongly(header []string, tag string) bool {
	for _, line := range header {
		for item := range strings.SplitSeq(line, ",") {
			if item = strings.TrimSpace(item); item == tag || item == "*" {
				return true
			}
		}
	}
	return false
}

// uploadRights are what the options of a caller's upload may be.
func (a *API) uploadRights(ctx context.Context, by caller) upload.Rights {
	return upload.Rights{
		Source: by.source, AnySource: auth.Allows(by.scopes, auth.ScopeAdmin), Attributes: a.Attributes,
		Profile: func(name string) (map[string]string, error) {
			p, err := a.Store.ImportProfile(ctx, name)
			if err != nil {
				return nil, fmt.Errorf("use import profile: %w", err)
			}
			return upload.ProfileParts(p.Options)
		},
	}
}
