package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"

	"github.com/gin-gonic/gin"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file served under a path that changes with its content.
type asset struct {
	Path        string // "/assets/<hash>.css"
	contentType string
	content     []byte
}

type assets struct{ Stylesheet, Script, Icon asset }

// loadAssets bundles all stylesheets into one file and all scripts into
// another. site.css and site.js come first, the others in order of their names.
func loadAssets() (a assets, err error) {
	if a.Stylesheet, err = bundle("assets/site.css", "assets/*.css"); err != nil {
		return a, err
	}
	if a.Script, err = bundle("assets/site.js", "assets/*.js"); err != nil {
		return a, err
	}
	a.Icon, err = bundle("assets/icon.svg", "assets/icon.svg")
	return a, err
}

// bundle joins the files that match a pattern, starting with first.
func bundle(first, pattern string) (asset, error) {
	names, err := fs.Glob(assetFiles, pattern)
	if err != nil {
		return asset{}, fmt.Errorf("load assets: %w", err)
	}
	var all bytes.Buffer
	for i, name := range append([]string{first}, names...) {
		if i > 0 && name == first {
			continue
		}
		content, err := assetFiles.ReadFile(name)
		if err != nil {
			return asset{}, fmt.Errorf("load asset: %w", err)
		}
		all.Write(content)
	}
	sum := sha256.Sum256(all.Bytes())
	return asset{
		Path:        "/assets/" + hex.EncodeToString(sum[:8]) + path.Ext(first),
		contentType: mime.TypeByExtension(path.Ext(first)),
		content:     all.Bytes(),
	}, nil
}

// serve sends the asset, which never changes under this path.
func (a asset) serve(c *gin.Context) error {
	c.Header("Cache-Control", "public, max-age=31536000, immutable")
	c.Data(http.StatusOK, a.contentType, a.content)
	return nil
}
