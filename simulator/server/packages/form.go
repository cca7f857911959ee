package packages

import (
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/leapslot/ota"
)

// Fields of an upload form (protocol section 9).
const (
	fieldKey         = "key"
	fieldPolicy      = "policy"
	fieldAccessKeyID = "OSSAccessKeyId"
	fieldSignature   = "Signature"
	fieldStatus      = "success_action_status"
	fieldFile        = "file"
)

// Bounds of a form.
const (
	maxFields   = 16
	maxFieldLen = 8 << 10  // bytes of a value
	maxFormLen  = 64 << 10 // bytes of everything but the file
	copyLen     = 256 << 10
	uploadIdle  = time.Minute // an upload that brings nothing for so long is ended
)

func partName(p *multipart.Part) (name, file string, err error) {
	kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	if err != nil || kind != "form-data" || params["name"] == "" {
		return "", "", refuse(http.StatusBadRequest, "InvalidArgument", "a part of the form has no name")
	}
	return params["name"], params["filename"], nil
}

// checkFileName refuses names that are more than a name. Nothing is stored under
// it: who sends a path expects something that does not happen.
func checkFileName(name string) error {
	if len(name) > ota.MaxFileNameLen {
		return refuse(http.StatusBadRequest, "InvalidArgument", "the file name has %d bytes, allowed are %d", len(name), ota.MaxFileNameLen)
	}
	if strings.ContainsAny(name, "/\\\x00") || name == "." || name == ".." {
		return refuse(http.StatusBadRequest, "InvalidArgument", "the file name has a path in it")
	}
	return nil
}

func readField(form map[string]string, name string, p io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(p, maxFieldLen+1))
	if err != nil {
		return err
	}
	if len(b) > maxFieldLen || len(name) > 128 {
		return refuse(http.StatusBadRequest, "InvalidArgument", "the field %.40q is longer than %d bytes", name, maxFieldLen)
	}
	if _, twice := form[name]; twice {
		return refuse(http.StatusBadRequest, "InvalidArgument", "the field %.40q stands twice in the form", name)
	}
	form[name] = string(b)
	return nil
}
