package console

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Limits of a password, in characters and in bytes.
const (
	MinPassword = 10
	MaxPassword = 256
)

// ErrPassword means that a password cannot be one; the text says why.
var ErrPassword = errors.New("password")

// What a hash costs: 19 MiB and two passes, a few hundredths of a second.
const (
	hashMemory = 19 << 10 // KiB
	hashTime   = 2
	hashLanes  = 1
	hashLen    = 32
	saltLen    = 16
)

// CheckPassword says why a text cannot be a user's password. Errors: ErrPassword.
func CheckPassword(password string) error {
	if n := utf8.RuneCountInString(password); n < MinPassword || len(password) > MaxPassword || !utf8.ValidString(password) {
		return fmt.Errorf("%w: it has %d characters, allowed are %d to %d", ErrPassword, n, MinPassword, MaxPassword)
	}
	return nil
}

// HashPassword gives what is stored of a password: argon2id with a salt of its own, and
// with what it cost, so that it can cost more one day. Errors: ErrPassword.
func HashPassword(password string) (string, error) {
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, saltLen)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(password), salt, hashTime, hashMemory, hashLanes, hashLen)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum)), nil
}

// verify reports whether a password has this hash. An unreadable hash fits none.
func verify(password, hash string) bool {
	var version int
	var memory, passes uint32
	var lanes uint8
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	if n, _ := fmt.Sscanf(parts[2], "v=%d", &version); n != 1 || version != argon2.Version {
		return false
	}
	if n, _ := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes); n != 3 || memory > 1<<20 || passes < 1 || passes > 64 || lanes < 1 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false
	}
	sum, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(sum) < 16 {
		return false
	}
	return subtle.ConstantTimeCompare(sum, argon2.IDKey([]byte(password), salt, passes, memory, lanes, uint32(len(sum)))) == 1
}

// nobody is the hash of no password: who asks for a user that is not there waits as long
// as for one that is.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// costly runs do when there is a place for it: hashes take memory, and whoever is not
// signed in may ask for them.
func (s *Server) costly(ctx context.Context, do func()) error {
	select {
	case s.hashing <- struct{}{}:
		defer func() { <-s.hashing }()
		do()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
