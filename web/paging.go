package web

import "net/url"

// pathWith adds the parameters that are not "" to a path, given as name, value,
// name, value.
func pathWith(path string, parameters ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(parameters); i += 2 {
		if parameters[i+1] != "" {
			query.Set(parameters[i], parameters[i+1])
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// pathPlus adds parameters to a path that may already have some, given as name,
// value, name, value; a name may repeat.
func pathPlus(path string, parameters ...string) string {
	u, err := url.Parse(path)
	if err != nil {
		return path
	}
	query := u.Query()
	for i := 0; i+1 < len(parameters); i += 2 {
		query.Add(parameters[i], parameters[i+1])
	}
	u.RawQuery = query.Encode()
	return u.RequestURI()
}
