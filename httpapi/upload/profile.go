package upload

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/storage"
)

// profileOptions are the options that an import profile may have. A dry run, a
// webhook and a profile are matters of the single import.
var profileOptions = []string{
	optionMapping, optionValueMap, optionEncoding, optionDelimiter, optionOnDuplicate, optionSendInvitations,
	optionBlank, optionSource, optionMissing, optionMaxDisable, optionSheet, optionHeaderRow,
}

// CheckProfile checks the options of an import profile as those of an upload are
// checked, and returns them as they are stored: null and blank ones left out. A
// member that no profile has is an error. The error is a [*problem.Problem].
func CheckProfile(members map[string]json.RawMessage, rights Rights) (map[string]json.RawMessage, error) {
	set, options := newOptionSet(rights), map[string]json.RawMessage{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(profileOptions, name) {
			return nil, problem.Parameter(roster.TruncateValue(name), "Unknown member %q. Check its spelling.", roster.TruncateValue(name))
		}
		text, err := optionText(name, members[name])
		if err != nil {
			return nil, err
		}
		if text == "" {
			continue
		}
		if err := set.part(name, text); err != nil {
			return nil, err
		}
		options[name] = members[name]
	}
	_, err := set.finish()
	return options, err
}

// optionText is the JSON value of an option in the form of its part; "" for null.
func optionText(name string, raw json.RawMessage) (string, error) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", problem.Parameter(name, "%s is not JSON.", name)
	}
	switch value := value.(type) {
	case nil:
		return "", nil
	case map[string]any:
		if name == optionMapping || name == optionValueMap {
			return string(raw), nil // not value: it has lost what was said twice
		}
	case bool:
		if name == optionSendInvitations {
			return string(raw), nil
		}
	case float64:
		if name == optionMaxDisable || name == optionHeaderRow {
			return string(raw), nil
		}
	case string:
		if name != optionMapping && name != optionValueMap && name != optionSendInvitations {
			return value, nil
		}
	}
	return "", problem.Parameter(name, "%s has the wrong type of JSON value.", name)
}

// ProfileParts returns the stored options of a profile in the form of their parts.
func ProfileParts(options map[string]json.RawMessage) (map[string]string, error) {
	parts := make(map[string]string, len(options))
	for name, raw := range options {
		text, err := optionText(name, raw)
		if err != nil {
			return nil, fmt.Errorf("read option %s of an import profile: %w", name, err)
		}
		parts[name] = text
	}
	return parts, nil
}

// useProfile sets the options of the profile that the upload itself does not
// give, under the caller's own rights. An option that is given blank counts as
// not given, because forms send all of their fields.
func (w *optionSet) useProfile() error {
	if w.profile == "" {
		return nil
	}
	if w.rights.Profile == nil || !roster.ValidProfileName(w.profile) {
		return unknownProfile(w.profile)
	}
	parts, err := w.rights.Profile(w.profile)
	if errors.Is(err, storage.ErrNotFound) {
		return unknownProfile(w.profile)
	}
	if err != nil {
		return err
	}
	for _, option := range profileOptions {
		text, has := parts[option]
		if !has || slices.Contains(w.filled, option) {
			continue
		}
		if err := w.set(option, text); err != nil {
			return inProfile(w.profile, err)
		}
		if option == optionMapping {
			w.options.Profile = w.profile
		}
	}
	return nil
}

// WithProfile returns options of an earlier upload with those of a profile in their
// place. The error is a [*problem.Problem] where the profile can't be used.
func WithProfile(o roster.Options, name string, rights Rights) (roster.Options, error) {
	set := optionSet{rights: rights, options: o, profile: name}
	set.options.Attributes = rights.Attributes
	return set.finish()
}

func unknownProfile(name string) error {
	return problem.Parameter(optionProfile, "There is no import profile %q. GET /api/admin/import-profiles lists them.", roster.TruncateValue(name))
}

// inProfile says that a problem is in the profile, not in what the caller sent.
func inProfile(name string, err error) error {
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		p.Detail = fmt.Sprintf("In the import profile %q: %s", name, p.Detail)
		return p
	}
	return err
}
