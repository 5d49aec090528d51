package userfile

import "strings"

// isAddressList reports whether pasted text is a list of addresses: it begins with an
// entry that has one in angle brackets, or it is nothing but addresses.
func isAddressList(text string) bool {
	const lines = 20
	brackets, bare, seen := false, true, 0
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if seen++; seen > lines {
			break
		}
		open := strings.IndexByte(line, '<')
		brackets = brackets || open >= 0 && strings.Contains(line[open:], "@") && strings.Contains(line[open:], ">")
		if seen == 1 && !strings.ContainsAny(line, "<@") {
			return false // a header, or a title
		}
		for _, entry := range addressEntries(line) {
			bare = bare && strings.Contains(entry, "@") && !strings.ContainsAny(entry, " <>")
		}
	}
	return seen > 0 && (brackets || bare)
}

// addressRows are the names and addresses of a list, a row each.
func addressRows(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		entries := addressEntries(line)
		if len(entries) == 0 {
			rows = append(rows, nil) // a blank line stays one
		}
		for _, entry := range entries {
			name, address := splitAddress(entry)
			rows = append(rows, []string{name, address})
		}
	}
	return rows
}

// addressEntries splits a line at commas and semicolons outside of quotes and angle
// brackets. A comma without an address before it is within a name: Lee, Ann <a@x>.
func addressEntries(line string) (entries []string) {
	begin, closing := 0, byte(0)
	add := func(end int) {
		if entry := strings.TrimSpace(line[begin:end]); entry != "" {
			entries = append(entries, entry)
		}
		begin = end + 1
	}
	for i := range len(line) {
		switch c := line[i]; {
		case c == closing:
			closing = 0
		case closing != 0:
		case c == '"' && strings.Contains(line[i+1:], `"`):
			closing = '"'
		case c == '<' && strings.Contains(line[i+1:], ">"):
			closing = '>'
		case c == ';', c == ',' && strings.ContainsAny(line[begin:i], "@<"):
			add(i)
		}
	}
	if begin < len(line) {
		add(len(line))
	}
	return entries
}

// splitAddress takes an entry of an address list apart. What it can't tell is left in
// the address, which is then refused.
func splitAddress(entry string) (name, address string) {
	entry = strings.TrimSpace(entry)
	open := strings.LastIndexByte(entry, '<')
	inside, ok := strings.CutSuffix(entry[max(open, 0):], ">")
	switch {
	case open >= 0 && ok:
		name = strings.TrimSpace(entry[:open])
		if quoted, ok := strings.CutPrefix(name, `"`); ok {
			name = strings.TrimSuffix(quoted, `"`)
			name = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(name)
		}
		return strings.TrimSpace(name), strings.TrimSpace(inside[1:])
	case strings.Contains(entry, "@"):
		return "", entry
	}
	return strings.Trim(entry, `"`), ""
}
