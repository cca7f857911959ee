package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

const (
	nonceLen = 16
	aesBits  = 128
)

// root is the storage root key: the parent of everything here, and the key that
// sessions are salted with.
type root struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
}

// way says which first parameter a session encrypts. Not every command and
// answer has one that can be.
type way int

const (
	none way = iota
	in       // of the command
	out      // of the answer
)

// session authenticates a command and its answer.
func (r root) session(w way) tpm2.Session {
	options := []tpm2.AuthOption{tpm2.Salted(r.handle, r.public)}
	switch w {
	case in:
		options = append(options, tpm2.AESEncryption(aesBits, tpm2.EncryptIn))
	case out:
		options = append(options, tpm2.AESEncryption(aesBits, tpm2.EncryptOut))
	}
	return tpm2.HMAC(tpm2.TPMAlgSHA256, nonceLen, options...)
}

// owner is the owner's consent. The password itself is never sent.
func (r root) owner(password []byte) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner,
		Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, nonceLen, tpm2.Salted(r.handle, r.public), tpm2.Auth(password))}
}

// object is a persistent one, or one that is loaded.
type object struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public *tpm2.TPMTPublic
}

// use authorises its use. Its own password is empty: who may open the TPM may
// use it.
func (o object) use(r root, w way) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: o.handle, Name: o.name, Auth: r.session(w)}
}

// find reads what is at a persistent handle; ErrNotProvisioned is nothing.
func (t *TPM) find(what string, h tpm2.TPMHandle) (object, error) {
	r, err := tpm2.ReadPublic{ObjectHandle: h}.Execute(t.dev)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return object{}, fmt.Errorf("TPM: %s: %w", what, ErrNotProvisioned)
	}
	if err != nil {
		return object{}, explain("read "+what, err)
	}
	public, err := r.OutPublic.Contents()
	if err != nil {
		return object{}, explain("read "+what, err)
	}
	return object{h, r.Name, public}, nil
}

// root finds the storage root key.
func (t *TPM) root() (root, error) {
	o, err := t.find("the storage root key", rootHandle)
	if err != nil {
		return root{}, err
	}
	a := o.public.ObjectAttributes
	if !a.Restricted || !a.Decrypt || !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin {
		return root{}, fmt.Errorf("TPM: the key at handle %#x is no storage root key: %w", uint32(rootHandle), ErrOther)
	}
	return root{o.handle, o.name, *o.public}, nil
}

// makeRoot makes sure that there is a storage root key. One that somebody else
// put there serves as well: it is the same key, made from the owner's seed.
func (t *TPM) makeRoot(password []byte) (root, error) {
	if err := checkPassword(password); err != nil {
		return root{}, err
	}
	if r, err := t.root(); !errors.Is(err, ErrNotProvisioned) {
		return r, err
	}
	plain := func() tpm2.AuthHandle {
		return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, nonceLen, tpm2.Auth(password))}
	}
	made, err := tpm2.CreatePrimary{PrimaryHandle: plain(), InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(t.dev)
	if err != nil {
		return root{}, explain("make the storage root key", err)
	}
	defer t.flush(made.ObjectHandle)
	_, err = tpm2.EvictControl{
		Auth:             plain(),
		ObjectHandle:     tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name},
		PersistentHandle: rootHandle,
	}.Execute(t.dev)
	if err != nil {
		return root{}, explain("keep the storage root key", err)
	}
	return t.root()
}

// create makes an object under the root; data is what it holds, nil for a key
// that the TPM makes up.
func (t *TPM) create(r root, what string, data []byte, public tpm2.TPMTPublic) (*tpm2.CreateResponse, error) {
	cmd := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: r.handle, Name: r.name, Auth: r.session(in)},
		InPublic:     tpm2.New2B(public),
	}
	if data != nil {
		cmd.InSensitive.Sensitive = &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: data}),
		}
	}
	made, err := cmd.Execute(t.dev)
	if err != nil {
		return nil, explain("make "+what, err)
	}
	return made, nil
}

// load brings a created object in; it must be flushed.
func (t *TPM) load(r root, what string, private tpm2.TPM2BPrivate, public tpm2.TPM2BPublic) (object, error) {
	loaded, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: r.handle, Name: r.name, Auth: r.session(in)},
		InPrivate:    private, InPublic: public,
	}.Execute(t.dev)
	if err != nil {
		return object{}, explain("load "+what, err)
	}
	return object{handle: loaded.ObjectHandle, name: loaded.Name}, nil
}

// keep makes an object under the root and puts it at a persistent handle. A
// power cut leaves it there or not, nothing in between.
func (t *TPM) keep(r root, what string, password, data []byte, public tpm2.TPMTPublic, at tpm2.TPMHandle) (object, error) {
	made, err := t.create(r, what, data, public)
	if err != nil {
		return object{}, err
	}
	o, err := t.load(r, what, made.OutPrivate, made.OutPublic)
	if err != nil {
		return object{}, err
	}
	defer t.flush(o.handle)
	_, err = tpm2.EvictControl{
		Auth:             r.owner(password),
		ObjectHandle:     tpm2.NamedHandle{Handle: o.handle, Name: o.name},
		PersistentHandle: at,
	}.Execute(t.dev)
	if err != nil {
		return object{}, explain("keep "+what, err)
	}
	return t.find(what, at)
}

// remove takes a persistent object away; one that is not there is no error.
func (t *TPM) remove(what string, password []byte, at tpm2.TPMHandle) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	o, err := t.find(what, at)
	if errors.Is(err, ErrNotProvisioned) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := t.root()
	if err != nil {
		return err
	}
	_, err = tpm2.EvictControl{
		Auth:             r.owner(password),
		ObjectHandle:     tpm2.NamedHandle{Handle: o.handle, Name: o.name},
		PersistentHandle: at,
	}.Execute(t.dev)
	if err != nil {
		return explain("remove "+what, err)
	}
	return nil
}

// flush makes room. When it fails nothing is lost but that room, until the TPM
// is closed or started anew.
func (t *TPM) flush(h tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(t.dev)
}
