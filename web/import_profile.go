package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi/problem"
	"rollcall/httpapi/upload"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/userfile"
)

// profilesPath is the page of the import profiles.
const profilesPath = "/admin/settings/profiles"

// uploadRights are what the options of an administrator's upload may be.
func (s *Site) uploadRights(ctx context.Context) upload.Rights {
	return upload.Rights{
		AnySource: true, Attributes: s.deps.Attributes, Paste: true,
		Profile: func(name string) (map[string]string, error) {
			p, err := s.deps.Store.ImportProfile(ctx, name)
			if err != nil {
				return nil, err
			}
			return upload.ProfileParts(p.Options)
		},
	}
}

// profileView is what a page of an import says about profiles.
type profileView struct {
	Proposed string // the profile that fits the file, "" for none
	Saved    string // the one just saved from it, "" for none
	Savable  bool   // the options may be saved
	Used     string // the one that the mapping is from, "" for none
}

func (s *Site) newProfileView(c *gin.Context, i *roster.Import, header []string) (v profileView, err error) {
	v.Used, v.Savable = i.Options.Profile, i.Valid > 0
	if saved := c.Query("saved"); roster.ValidProfileName(saved) {
		v.Saved = saved
		return v, nil
	}
	v.Proposed, err = s.proposeProfile(c.Request.Context(), i, header)
	return v, err
}

// proposeProfile finds the profile that fits a header row: it maps the most headers,
// all of which the file has, and would change something. "" if there is none.
func (s *Site) proposeProfile(ctx context.Context, i *roster.Import, header []string) (string, error) {
	if len(header) == 0 {
		return "", nil
	}
	profiles, err := s.deps.Store.ImportProfiles(ctx)
	if err != nil {
		return "", err
	}
	best, most := "", 0
	for _, p := range profiles {
		options, err := upload.WithProfile(i.Options, p.Name, s.uploadRights(ctx))
		if err != nil {
			continue // out of date, such as with an attribute that is no longer declared
		}
		n := len(options.Mapping)
		fits := p.Options["mapping"] != nil && n > most && userfile.Fits(header, options)
		if fits && !reflect.DeepEqual(options, i.Options) {
			best, most = p.Name, n
		}
	}
	return best, nil
}

// useProfile checks the file of an import again with the options of a profile.
func (s *Site) useProfile(c *gin.Context, admin *roster.User) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), rereadTimeout)
	defer cancel()
	id, err := importID(c)
	if err != nil {
		return err
	}
	form, err := readForm(c)
	if err != nil {
		return err
	}
	i, err := s.deps.Store.Import(ctx, id)
	if err != nil {
		return err
	}
	if i.Status != roster.Ready && i.Status != roster.Held && i.Status != roster.Failed {
		return storage.ErrWrongState
	}
	options, err := upload.WithProfile(i.Options, form.Get("profile"), s.uploadRights(ctx))
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		return s.showAgain(c, admin, i, "Nothing was changed. "+p.Detail)
	}
	if err != nil {
		return err
	}
	return s.reread(c, ctx, admin, id, options)
}

// showAgain shows the page of an import that is to be read again, and why it was not.
func (s *Site) showAgain(c *gin.Context, admin *roster.User, i *roster.Import, text string) error {
	if i.Status == roster.Failed {
		return s.showUnusable(c, http.StatusUnprocessableEntity, admin, i, text)
	}
	return s.showPreview(c, http.StatusUnprocessableEntity, admin, i, text)
}

// saveProfile keeps the options of an import as a profile. Fields: name; replace, if
// one of this name is to be replaced.
func (s *Site) saveProfile(c *gin.Context, admin *roster.User) error {
	ctx := c.Request.Context()
	id, err := importID(c)
	if err != nil {
		return err
	}
	form, err := readForm(c)
	if err != nil {
		return err
	}
	i, err := s.deps.Store.Import(ctx, id)
	if err != nil {
		return err
	}
	if i.Status != roster.Ready && i.Status != roster.Held {
		return storage.ErrWrongState
	}
	name := strings.TrimSpace(form.Get("name"))
	if !roster.ValidProfileName(name) {
		return s.showAgain(c, admin, i, "The profile was not saved. Its name can have up to 64 letters, digits, dots, underscores and hyphens, and must begin with a letter or digit.")
	}
	members, err := profileMembers(i.Options)
	if err != nil {
		return err
	}
	options, err := upload.CheckProfile(members, s.uploadRights(ctx))
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		return s.showAgain(c, admin, i, "The profile was not saved. "+p.Detail)
	}
	if err != nil {
		return err
	}
	var holds storage.ProfileCondition
	if form.Get("replace") == "" {
		holds = func(p *storage.ImportProfile) bool { return p == nil }
	}
	_, _, err = s.deps.Store.SetImportProfile(ctx, name, options, holds, entry(c, admin))
	switch {
	case errors.Is(err, storage.ErrPrecondition):
		return s.showAgain(c, admin, i, "The profile was not saved. There is already a profile named "+name+": choose another name, or select “Replace”.")
	case errors.Is(err, storage.ErrTooManyProfiles):
		return s.showAgain(c, admin, i, "The profile was not saved. There are too many profiles; delete one under Settings first.")
	case err != nil:
		return err
	}
	seeOther(c, pathWith(importPath(id), "saved", name))
	return nil
}

// profileMembers are the options of an import as members of a profile.
func profileMembers(o roster.Options) (map[string]json.RawMessage, error) {
	mapping := map[string]roster.Headers{}
	for column, headers := range o.Mapping {
		mapping[column] = roster.Headers(headers)
	}
	members := map[string]json.RawMessage{}
	for name, member := range map[string]struct {
		value any
		set   bool
	}{
		"mapping":          {mapping, len(mapping) > 0},
		"value_map":        {o.ValueMap, len(o.ValueMap) > 0},
		"encoding":         {o.Encoding, o.Encoding != ""},
		"delimiter":        {o.Delimiter, o.Delimiter != ""},
		"on_duplicate":     {o.OnDuplicate, true},
		"send_invitations": {o.SendInvitations, true},
		"blank":            {o.Blank, o.Blank != ""},
		"source":           {o.Source, o.Source != ""},
		"missing":          {o.Missing, o.Missing != ""},
		"max_disable":      {o.MaxDisable, o.MaxDisable != ""},
		"sheet":            {o.Sheet, o.Sheet != ""},
		"header_row":       {o.HeaderRow, o.HeaderRow > 0},
	} {
		if !member.set {
			continue
		}
		raw, err := json.Marshal(member.value)
		if err != nil {
			return nil, err
		}
		members[name] = raw
	}
	return members, nil
}
