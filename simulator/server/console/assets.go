package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// static is our own; npm is what npm brings and a build copies there: without it pages
// work, and their charts are tables.
//
//go:embed static
var staticFiles embed.FS

//go:embed all:npm
var npmFiles embed.FS

// assets are the files of /console/static/, by name.
type assets map[string]asset

type asset struct {
	body       []byte
	kind, path string
}

func loadAssets() (assets, error) {
	all := assets{}
	for _, from := range []struct {
		files embed.FS
		dir   string
	}{{staticFiles, "static"}, {npmFiles, "npm"}} {
		entries, err := fs.ReadDir(from.files, from.dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			body, err := from.files.ReadFile(path.Join(from.dir, e.Name()))
			if err != nil {
				return nil, err
			}
			sum := sha256.Sum256(body)
			all[e.Name()] = asset{body, kindOf(e.Name()), Root + "static/" + e.Name() + "?v=" + hex.EncodeToString(sum[:6])}
		}
	}
	return all, nil
}

func kindOf(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

// path is where a file is, with a mark of what is in it: it may be kept for good.
func (a assets) path(name string) string { return a[name].path }

// has reports whether a file is there, which for those of npm hangs on the build.
func (a assets) has(name string) bool { _, ok := a[name]; return ok }

func (a assets) serve(w http.ResponseWriter, r *http.Request) {
	file, ok := a[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", file.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(file.body)
}
