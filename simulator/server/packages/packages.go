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
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/leapslot/ota"
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
	Dir     string // made when it is not there; one process at a time
	BaseURL string // http://host[:port] or https://..., where devices and uploaders reach the handler; see [Store.SetBaseURL]

	MaxSize      int64 // bytes of one file; 0 is DefaultMaxSize
	MaxDownloads int   // at the same time; 0 is no bound. One more gets 503 with Retry-After

	Clock    func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: silent
	Download func(Download)   // nil, or called after each download request with a good URL; must not block
}

// Download is one answered request for a file.
type Download struct {
	TaskID    string
	DeviceTag string // see [Store.DeviceTag]
	FileID    string
	Method    string // GET or HEAD
	Status    int    // 200, 206, 304, 416, 404 or 503
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

// Store is a directory of files. Its methods are safe for use by many
// goroutines.
type Store struct{}

// Open opens the directory, removes what broken uploads of an earlier process
// left, and reads or makes the key that URLs are signed with.
func Open(c Config) (*Store, error) { panic("not yet") }

// SetBaseURL changes the base URL, for a server that learns its port late.
func (s *Store) SetBaseURL(base string) error { panic("not yet") }

// Stats counts what happened since Open.
func (s *Store) Stats() Stats { panic("not yet") }

// Stats are counters since Open; Downloading is the number now.
type Stats struct {
	Uploads, UploadsRefused       int64
	Downloads, DownloadsForbidden int64 // with a good URL; answered 403
	DownloadsBusy                 int64 // answered 503
	BytesIn, BytesOut             int64
	Downloading                   int64
}

// ServeHTTP answers POST /p/ (uploads) and GET and HEAD below /p/ (downloads).
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("not yet") }

// NewUpload mints a form. suffix is a file suffix with its dot, such as .bin, or
// empty; it is part of Key and FileURL and means nothing here.
func (s *Store) NewUpload(now time.Time, suffix string) (Upload, error) { panic("not yet") }

// Lookup gives the file that a FileURL names: an error that wraps ErrNotFound
// when it is not one of ours or was not uploaded, ErrStale when it was uploaded
// more than ClaimWithin ago.
func (s *Store) Lookup(now time.Time, fileURL string) (File, error) { panic("not yet") }

// Get gives the file with an id, however old, or ErrNotFound.
func (s *Store) Get(id string) (File, error) { panic("not yet") }

// SignURL gives a URL under which the file can be downloaded until expires. It
// fails when an argument is out of bounds: a task id has 1 to MaxTaskIDLen
// characters of A-Z a-z 0-9 - _ .
func (s *Store) SignURL(d ota.Device, taskID, fileID string, expires time.Time) (string, error) {
	panic("not yet")
}

// DeviceTag is what stands for a device in a signed URL: a short keyed digest,
// since names of 64 characters would make the URL too long.
func (s *Store) DeviceTag(d ota.Device) string { panic("not yet") }

// Sweep removes the files that were uploaded more than ClaimWithin (and a few
// minutes, so that one just looked up is safe) before now and that inUse does
// not hold for, and says how many. The model of packages is the only truth about
// which file is in use.
func (s *Store) Sweep(ctx context.Context, now time.Time, inUse func(fileID string) bool) (int, error) {
	panic("not yet")
}
