package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
)

// profilesView lists the import profiles.
type profilesView struct {
	Profiles []profileLine
	Deleted  bool // one just was
}

// profileLine is a profile in words.
type profileLine struct {
	*storage.ImportProfile
	Facts []profileFact
}

// profileFact is one option of a profile.
type profileFact struct{ Option, Value string }

func (profilesView) pageMeta() pageMeta {
	return pageMeta{Template: "settings_profiles", Title: "Import profiles", Section: sectionSettings}
}

func (s *Site) showProfiles(c *gin.Context, admin *roster.User) error {
	profiles, err := s.deps.Store.ImportProfiles(c.Request.Context())
	if err != nil {
		return err
	}
	v := profilesView{Deleted: c.Query("did") == "delete"}
	for _, p := range profiles {
		v.Profiles = append(v.Profiles, profileLine{p, profileFacts(p.Options)})
	}
	return s.show(c, http.StatusOK, admin, v)
}

// profileFacts describes options in the order of their names.
func profileFacts(options map[string]json.RawMessage) []profileFact {
	var facts []profileFact
	for name, raw := range options {
		facts = append(facts, profileFact{Option: name, Value: optionWords(name, raw)})
	}
	slices.SortFunc(facts, func(a, b profileFact) int { return strings.Compare(a.Option, b.Option) })
	return facts
}

func optionWords(name string, raw json.RawMessage) string {
	var words []string
	switch name {
	case "mapping":
		var mapping map[string]roster.Headers
		if json.Unmarshal(raw, &mapping) != nil {
			return string(raw)
		}
		for column, headers := range mapping {
			words = append(words, column+" from "+headers.String())
		}
	case "value_map":
		var m roster.ValueMap
		if json.Unmarshal(raw, &m) != nil {
			return string(raw)
		}
		for column, values := range m {
			for from, to := range values {
				words = append(words, string(column)+" "+from+" means "+valueWords(to))
			}
		}
	default:
		var text string
		if json.Unmarshal(raw, &text) == nil {
			return text
		}
		return string(raw)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func (s *Site) deleteProfile(c *gin.Context, admin *roster.User) error {
	err := s.deps.Store.DeleteImportProfile(c.Request.Context(), c.Param("name"), nil, entry(c, admin))
	if err != nil && !errors.Is(err, storage.ErrNotFound) { // somebody else was faster
		return err
	}
	seeOther(c, profilesPath+"?did=delete")
	return nil
}
