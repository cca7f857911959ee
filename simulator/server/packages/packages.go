// Package packages keeps the files of firmware packages: it takes them in
// through signed upload forms and gives them out under signed, expiring URLs.
//
// The promise: a file that is there is whole, has the size and digests that are
// told, and never changes, so its id is also its strong ETag; a broken upload
// leaves nothing. Nobody reads a file without a URL that was signed for one
// device, one task and one file, and has not expired (protocol section 6, F9).
//
// Trust: everything in a request is a stranger's until its signature fits. File
// names are checked and never used. Whoever can write to the directory is
// trusted.
package packages

import (
	"errors"
	"log/slog"
	"time"
)

// Limits (protocol sections 3, 9 and 10; P3).
const (
	DefaultMaxSize = 1000 << 20 // bytes of a file: 1,000 MB
	UploadValid    = time.Minute
	ClaimWithin    = 60 * time.Minute // from the upload to the package that uses it
	MaxTaskIDLen   = 64
	MaxBaseURLLen  = 112 // so that a signed URL has at most ota.MaxEmittedURLLen characters
	MaxSuffixLen   = 16
)

// Errors that callers act on.
var (
	ErrNotFound = errors.New("no such file")
	ErrStale    = errors.New("the file was uploaded too long ago") // more than ClaimWithin
)

// Config is what [Open] needs.
type Config struct {
	Dir     string // made when it is not there; one process at a time, which the caller sees to
	BaseURL string // http://host[:port] or https://..., where devices and uploaders reach the handler; see [Store.SetBaseURL]

	MaxSize      int64 // bytes of one file; 0 is DefaultMaxSize
	MaxDownloads int   // at the same time; 0 is no bound. One more gets 503 with Retry-After

	Clock    func() time.Time // nil: time.Now. It decides what has expired
	Logger   *slog.Logger     // nil: silent. No URL and no value of a form is ever logged
	Download func(Download)   // nil, or called after each download request with a good URL, an expired one too; must not block
}

// Download is one answered request for a file.
type Download struct {
	TaskID    string
	DeviceTag string // see [Store.DeviceTag]
	FileID    string
	Method    string // GET or HEAD
	Range     string // as it was asked for
	Status    int    // 200, 206, 304, 416, 404 or 503; 403: the URL was good, and has expired
	Bytes     int64  // of the body, as far as they were written
}

// File is one whole file.
type File struct {
	ID       string    `json:"id"` // also its strong ETag
	Size     int64     `json:"size"`
	MD5      string    `json:"md5"`      // lower-case hexadecimal
	SHA256   string    `json:"sha256"`   // lower-case hexadecimal
	Uploaded time.Time `json:"uploaded"` // when the upload was finished
}

// Upload is a form that uploads one file once (protocol section 9).
type Upload struct {
	Host        string // absolute URL that the form is posted to
	Key         string
	Policy      string
	AccessKeyID string // form field OSSAccessKeyId
	Signature   string
	FileURL     string // names the file for CreateOTAFirmware; see [Store.Lookup]
	Expires     time.Time
}

// Stats counts what happened since Open.
type Stats struct {
	Uploads            int64 // files taken in
	UploadsRefused     int64 // forms refused or broken
	Downloads          int64 // requests with a good URL, whatever the answer
	DownloadsForbidden int64 // answered 403
	DownloadsBusy      int64 // answered 503
	Blocks             int64 // given out over MQTT
	BytesIn, BytesOut  int64 // of files
	Downloading        int64 // now
}
