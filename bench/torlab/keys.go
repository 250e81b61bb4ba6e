// SPDX-License-Identifier: BSD-3-Clause

package torlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"chive/bench/lab"
	"chive/bench/load"
)

// How many there are. The authorities come first; they are relays, too, as tor
// wants it, but no circuit takes them.
const (
	authorities = 3
	relays      = 5
	members     = authorities + relays
)

// ErrMissing says that tor or tor-gencert is not installed.
var ErrMissing = errors.New("torlab: the programs tor and tor-gencert are not both installed")

// InstallHint says how to install what is missing.
const InstallHint = "On Debian and Ubuntu: sudo apt-get install tor (0.4.9 or newer; older releases have it in backports\n" +
	"or at deb.torproject.org). The service it starts is not used and may be stopped: sudo systemctl disable --now tor"

// Keys are the long-lived keys of a network's members, made once and used by each
// network in turn.
type Keys struct {
	tor, folder string
	version     string
	ports       *lab.Ports
	relay       [members]relayKeys

	mu      sync.Mutex
	origins map[string]*origin // by the mode's name
}

// relayKeys are what the torrc files say about one relay.
type relayKeys struct {
	fingerprint  string // 40 hexadecimal digits
	v3ident      string // of an authority
	orPort       uint16
	dirPort      uint16 // of an authority
	folder, nick string
}

// MakeKeys finds the programs and makes the keys in a folder, and has the members
// introduce themselves to the authorities. It takes seconds.
func MakeKeys(ctx context.Context, folder string, ports *lab.Ports) (*Keys, error) {
	tor, err := exec.LookPath("tor")
	if err != nil {
		return nil, ErrMissing
	}
	gencert, err := exec.LookPath("tor-gencert")
	if err != nil {
		return nil, ErrMissing
	}
	k := &Keys{tor: tor, folder: folder, ports: ports, origins: make(map[string]*origin)}
	version, err := lab.Run(ctx, "", tor, "--version")
	if err != nil {
		return nil, err
	}
	k.version = parseVersion(version)
	for i := range k.relay {
		r := &k.relay[i]
		r.nick = fmt.Sprintf("bench%d", i)
		r.folder = filepath.Join(folder, r.nick)
		if r.orPort, err = ports.Next(); err != nil {
			return nil, err
		}
		if r.dirPort, err = ports.Next(); err != nil {
			return nil, err
		}
	}
	if err := load.Each(ctx, members, 2, func(ctx context.Context, i int) error { return k.make(ctx, gencert, i) }); err != nil {
		return nil, err
	}
	return k, k.introduce(ctx)
}

// Version is tor's own name for itself, such as 0.4.9.11.
func (k *Keys) Version() string { return k.version }

func (k *Keys) make(ctx context.Context, gencert string, i int) error {
	r := &k.relay[i]
	folder := filepath.Join(r.folder, "keys")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if i < authorities {
		_, err := lab.Run(ctx, "bench\n", gencert, "--create-identity-key", "-m", "12",
			"-a", fmt.Sprintf("127.0.0.1:%d", r.dirPort), "--passphrase-fd", "0",
			"-i", filepath.Join(folder, "authority_identity_key"),
			"-s", filepath.Join(folder, "authority_signing_key"),
			"-c", filepath.Join(folder, "authority_certificate"))
		if err != nil {
			return err
		}
		certificate, err := os.ReadFile(filepath.Join(folder, "authority_certificate"))
		if err != nil {
			return err
		}
		if r.v3ident, err = parseCertificate(string(certificate)); err != nil {
			return err
		}
	}
	text, err := lab.Run(ctx, "", k.tor, "--list-fingerprint", "--quiet", "--ignore-missing-torrc",
		"-f", filepath.Join(r.folder, "none"), "--orport", "1", "--nickname", r.nick, "--datadirectory", r.folder)
	if err != nil {
		return err
	}
	r.fingerprint, err = parseFingerprint(text, r.nick)
	return err
}

// errOutput says that a program of Tor's printed something unknown.
var errOutput = errors.New("torlab: tor printed something unknown")

// parseVersion reads "Tor version 0.4.9.11." and what follows.
func parseVersion(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSuffix(strings.TrimPrefix(line, "Tor version "), ".")
}

// parseCertificate reads the authority's identity out of its certificate.
func parseCertificate(text string) (string, error) {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "fingerprint "); ok {
			return checkHex(v)
		}
	}
	return "", errOutput
}

// parseFingerprint reads "nick AAAA BBBB ...".
func parseFingerprint(text, nick string) (string, error) {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, nick+" "); ok {
			return checkHex(strings.ReplaceAll(strings.TrimSpace(v), " ", ""))
		}
	}
	return "", errOutput
}

// checkHex refuses what is not 40 hexadecimal digits.
func checkHex(v string) (string, error) {
	if len(v) != 40 || strings.Trim(v, "0123456789ABCDEF") != "" {
		return "", errOutput
	}
	return v, nil
}
