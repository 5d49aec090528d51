// Package client talks to the HTTP API of Rollcall: it uploads a file, follows
// the import to its end through lost connections and restarts of the server,
// and fetches the error report.
//
//	c, err := client.New("https://rollcall.example.com", token, client.Config{})
//	i, err := c.Upload(ctx, client.Upload{Filename: "users.csv", Open: open, Size: -1})
//	i, err = c.Follow(ctx, i, nil)
package client
