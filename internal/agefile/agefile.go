// SPDX-License-Identifier: BSD-3-Clause

// Package agefile encrypts a file under a passphrase, and opens it again, in the format
// of age (age-encryption.org/v1, C2SP), by age's own library: the tool age opens with
// `age -d` what is made here. Of the format it has the recipient scrypt and nothing else:
// no public keys, no armour, no plug-ins.
//
// Files and passphrases are the caller's, who wipes them. Functions are safe for
// concurrent use; each takes 2^WORK KiB of memory while it runs.
//
// Spec: product REL-12.
package agefile

import (
	"bytes"
	"errors"
	"io"

	"filippo.io/age"
)

// WorkFactor is how much work a passphrase costs: about a second, and 256 MiB of memory.
const WorkFactor = 18

// MaxWorkFactor bounds the work that a file may ask for: 1 GiB of memory.
const MaxWorkFactor = 20

// Overhead bounds how much larger than its contents a file of at most MaxSize is, in
// bytes.
const Overhead = 1024

// MaxSize bounds the contents of a file, in bytes: what it holds is in memory at once.
const MaxSize = 1 << 20

// Why a file is not opened.
var (
	ErrFormat     = errors.New("agefile: not a file under a passphrase in the format of age")
	ErrPassphrase = errors.New("agefile: the passphrase is another one")
	ErrDamaged    = errors.New("agefile: the file is damaged")
	ErrSize       = errors.New("agefile: too large")
)

// Seal encrypts data under a passphrase. work is log2 of scrypt's N, 1 to MaxWorkFactor.
// The randomness is the system's. Errors: ErrSize, and an empty passphrase's ErrPassphrase.
func Seal(passphrase, data []byte, work int) ([]byte, error) {
	if len(data) > MaxSize || work < 1 || work > MaxWorkFactor {
		return nil, ErrSize
	}
	to, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, ErrPassphrase
	}
	to.SetWorkFactor(work)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Open returns what Seal, or the tool age with a passphrase, has encrypted. The caller
// wipes it. Errors: ErrFormat, ErrPassphrase, ErrDamaged, ErrSize.
func Open(passphrase, file []byte) ([]byte, error) {
	if len(file) > MaxSize+Overhead {
		return nil, ErrSize
	}
	from, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, ErrPassphrase
	}
	from.SetMaxWorkFactor(MaxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(file), from)
	var other *age.NoIdentityMatchError
	switch {
	case errors.As(err, &other) && len(other.StanzaTypes) == 1 && other.StanzaTypes[0] == "scrypt":
		return nil, ErrPassphrase
	case err != nil:
		return nil, ErrFormat
	}
	out, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	switch {
	case err != nil:
		clear(out)
		return nil, ErrDamaged
	case len(out) > MaxSize:
		clear(out)
		return nil, ErrSize
	}
	return out, nil
}
