package packages

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/leapslot/ota"
)

// root is the path below which everything stands.
const root = "/p/"

// accessKeyID is what forms carry as OSSAccessKeyId. It names no secret of
// anybody: the key that signs is the store's own.
const accessKeyID = "leapslot"

// Why a download URL is refused, in words for a device's log.
var (
	errURL     = errors.New("this URL was not given out: it was altered, or is for another device, task or file")
	errExpired = errors.New("this URL has expired: ask for the upgrade again to get a fresh one")
)

// keys are made of one secret, one for each use, so that nothing signed for one can
// stand for another.
type keys struct{ download, device, upload, stream []byte }

func newKeys(secret []byte) keys {
	return keys{mac(secret, "download"), mac(secret, "device"), mac(secret, "upload"), mac(secret, "stream")}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// sum is the first n bytes of a MAC, as they stand in a URL.
func sum(key []byte, text string, n int) string {
	return base64.RawURLEncoding.EncodeToString(mac(key, text)[:n])
}

// Bytes of the two sums in a URL. 128 bits are not guessed; 64 tell devices
// apart, and are themselves under the signature.
const (
	signatureBytes = 16
	tagBytes       = 8
)

// SetBaseURL changes the base URL, for a server that learns its port late.
func (s *Store) SetBaseURL(base string) error {
	base = strings.TrimRight(base, "/")
	u, err := url.Parse(base)
	if err != nil {
		return fmt.Errorf("base URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" {
		return fmt.Errorf("base URL %q is not http://host or https://host, with or without a port", base)
	}
	if len(base) > MaxBaseURLLen {
		return fmt.Errorf("base URL has %d characters, allowed are %d: a signed URL has to fit into %d", len(base), MaxBaseURLLen, ota.MaxEmittedURLLen)
	}
	s.base.Store(&base)
	return nil
}

// SignURL gives a URL under which the file can be downloaded until expires:
//
//	base/p/{file}/{expires, seconds in base 36}/{device tag}/{task}/{signature}
//
// It has no query, so that nothing in it wants escaping, and at most
// ota.MaxEmittedURLLen characters. It fails when an argument is out of bounds: a
// task id has 1 to MaxTaskIDLen characters of A-Z a-z 0-9 - and _.
func (s *Store) SignURL(d ota.Device, taskID, fileID string, expires time.Time) (string, error) {
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("sign a URL: %w", err)
	}
	if taskID == "" || len(taskID) > MaxTaskIDLen || !word(taskID, "-_") {
		return "", fmt.Errorf("sign a URL: task id %.80q is not 1 to %d letters, digits, - and _", taskID, MaxTaskIDLen)
	}
	if !validID(fileID) {
		return "", fmt.Errorf("sign a URL: file id %.40q: %w", fileID, ErrNotFound)
	}
	if expires.Unix() <= 0 {
		return "", fmt.Errorf("sign a URL: it would expire at %v", expires)
	}
	signed := fileID + "/" + strconv.FormatInt(expires.Unix(), 36) + "/" + s.DeviceTag(d) + "/" + taskID
	return *s.base.Load() + root + signed + "/" + sum(s.keys.download, signed, signatureBytes), nil
}

// DeviceTag is what stands for a device in a signed URL: a short keyed digest,
// since names of 64 characters would make the URL too long.
func (s *Store) DeviceTag(d ota.Device) string { return sum(s.keys.device, d.String(), tagBytes) }

// grant is what a signed URL allows.
type grant struct{ file, tag, task string }

// open reads the path of a download URL: what it allows, errURL, or errExpired with what
// it has allowed.
// Nothing of it is believed before the signature fits.
func (s *Store) open(path string, now time.Time) (grant, error) {
	rest, ok := strings.CutPrefix(path, root)
	at := strings.LastIndexByte(rest, '/')
	if !ok || at < 0 || len(path) > ota.MaxEmittedURLLen {
		return grant{}, errURL
	}
	signed, signature := rest[:at], rest[at+1:]
	if subtle.ConstantTimeCompare([]byte(signature), []byte(sum(s.keys.download, signed, signatureBytes))) != 1 {
		return grant{}, errURL
	}
	p := strings.Split(signed, "/")
	if len(p) != 4 || !validID(p[0]) {
		return grant{}, errURL
	}
	expires, err := strconv.ParseInt(p[1], 36, 64)
	if err != nil {
		return grant{}, errURL
	}
	if now.Unix() >= expires {
		return grant{file: p[0], tag: p[2], task: p[3]}, errExpired
	}
	return grant{file: p[0], tag: p[2], task: p[3]}, nil
}

// policy is what a form allows, as a form carries it in base64.
type policy struct {
	Expiration time.Time `json:"expiration"`
	Conditions []any     `json:"conditions"`
}

// NewUpload mints a form, to be posted within UploadValid of now. suffix is a
// file suffix with its dot, such as .tar.gz, or empty; it is part of Key and
// FileURL and means nothing here.
func (s *Store) NewUpload(now time.Time, suffix string) (Upload, error) {
	if suffix != "" && (suffix[0] != '.' || len(suffix) > MaxSuffixLen || strings.Contains(suffix, "..") || !word(suffix, ".")) {
		return Upload{}, fmt.Errorf("file suffix %.40q is not a dot and at most %d letters, digits and dots", suffix, MaxSuffixLen-1)
	}
	id := rand.Text()
	u := Upload{
		Host:        *s.base.Load() + root,
		Key:         "ota/" + id + suffix,
		AccessKeyID: accessKeyID,
		FileURL:     *s.base.Load() + root + id + suffix,
		Expires:     now.Add(UploadValid).UTC().Truncate(time.Millisecond),
	}
	// The shape of an OSS policy, for the eyes of whoever decodes it. Only the
	// signature, the expiration and the key count.
	b, err := json.Marshal(policy{u.Expires, []any{
		[]any{"eq", "$key", u.Key}, []any{"content-length-range", 1, s.config.MaxSize},
	}})
	if err != nil {
		return Upload{}, err
	}
	u.Policy = base64.StdEncoding.EncodeToString(b)
	u.Signature = s.signPolicy(u.Policy, u.Key)
	return u, nil
}

func (s *Store) signPolicy(policy, key string) string {
	return base64.StdEncoding.EncodeToString(mac(s.keys.upload, policy+"\n"+key))
}

// checkForm gives the id of the file that a form may upload at now, or why not.
func (s *Store) checkForm(form map[string]string, now time.Time) (id string, _ error) {
	for _, name := range [...]string{fieldKey, fieldPolicy, fieldAccessKeyID, fieldSignature} {
		if form[name] == "" {
			return "", refuse(400, "InvalidArgument", "the form has no field %s before the file", name)
		}
	}
	want := s.signPolicy(form[fieldPolicy], form[fieldKey])
	if subtle.ConstantTimeCompare([]byte(want), []byte(form[fieldSignature])) != 1 || form[fieldAccessKeyID] != accessKeyID {
		return "", refuse(403, "SignatureDoesNotMatch", "key, policy, OSSAccessKeyId and Signature are not those of one form that was given out")
	}
	// From here on the fields are our own.
	var p policy
	b, err := base64.StdEncoding.DecodeString(form[fieldPolicy])
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return "", refuse(403, "AccessDenied", "the policy cannot be read")
	}
	if now.After(p.Expiration) {
		return "", refuse(403, "AccessDenied", "the form was valid for %v: ask for a new one", UploadValid)
	}
	id, ok := fileOf("ota/", form[fieldKey])
	if !ok {
		return "", refuse(403, "AccessDenied", "the key names no file")
	}
	return id, nil
}

// fileOf takes the id out of prefix + id + suffix.
func fileOf(prefix, s string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok || len(rest) < idLen {
		return "", false
	}
	id, suffix := rest[:idLen], rest[idLen:]
	return id, validID(id) && (suffix == "" || suffix[0] == '.' && len(suffix) <= MaxSuffixLen && word(suffix, "."))
}

// Lookup gives the file that a FileURL names: an error that wraps ErrNotFound
// when it is not one of ours or was not uploaded, ErrStale when it was uploaded
// more than ClaimWithin ago. The host of the URL does not matter, so that a
// server may move between the upload and the package.
func (s *Store) Lookup(now time.Time, fileURL string) (File, error) {
	u, err := url.Parse(fileURL)
	if err != nil || len(fileURL) > ota.MaxEmittedURLLen {
		return File{}, fmt.Errorf("the file URL cannot be read: %w", ErrNotFound)
	}
	id, ok := fileOf(root, u.Path)
	if !ok {
		return File{}, fmt.Errorf("%.120q is not a file URL of this server: %w", fileURL, ErrNotFound)
	}
	f, err := s.Get(id)
	if err == nil && now.Sub(f.Uploaded) > ClaimWithin {
		return File{}, fmt.Errorf("file %s was uploaded at %s, a package has to be made of it within %v: %w", id, f.Uploaded.UTC().Format(time.RFC3339), ClaimWithin, ErrStale)
	}
	return f, err
}
