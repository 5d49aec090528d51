package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"

	"github.com/gin-gonic/gin"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file served under a name that changes with its content.
type asset struct {
	Path        string // "/assets/<hash>.css"
	contentType string
	content     []byte
}

type assets struct{ Stylesheet, Icon asset }

func loadAssets() (a assets, err error) {
	if a.Stylesheet, err = loadAsset("assets/site.css"); err != nil {
		return a, err
	}
	a.Icon, err = loadAsset("assets/icon.svg")
	return a, err
}

func loadAsset(name string) (asset, error) {
	content, err := assetFiles.ReadFile(name)
	if err != nil {
		return asset{}, fmt.Errorf("load asset: %w", err)
	}
	sum := sha256.Sum256(content)
	return asset{
		Path:        "/assets/" + hex.EncodeToString(sum[:8]) + path.Ext(name),
		contentType: mime.TypeByExtension(path.Ext(name)),
		content:     content,
	}, nil
}

// serve answers with the asset, which never changes under this path.
func (a asset) serve(c *gin.Context) error {
	c.Header("Cache-Control", "public, max-age=31536000, immutable")
	c.Data(http.StatusOK, a.contentType, a.content)
	return nil
}
