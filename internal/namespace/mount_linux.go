// SPDX-License-Identifier: BSD-3-Clause

package namespace

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	resolvFile   = "/etc/resolv.conf"
	nsswitchFile = "/etc/nsswitch.conf"

	// scratchFolder is where a file system of our own stands while it is filled.
	scratchFolder = "/tmp"

	// maxNsswitch bounds the file that is copied, in bytes.
	maxNsswitch = 64 << 10

	// resolvText sends the system's resolver to the name server inside.
	resolvText = "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n"
)

// covered are folders whose sockets lead to name services outside of the namespace.
var covered = []string{"/run/nscd", "/var/run/nscd", "/run/systemd/resolve", "/run/avahi-daemon"}

// mountFiles lays files of our own over the system's in this mount namespace.
func mountFiles() error {
	fail := func(err error) error { return &Failure{Step: StepMount, Errno: errnoOf(err)} }
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fail(err)
	}
	plan := planMounts(filepath.EvalSymlinks)
	nsswitch, err := os.ReadFile(nsswitchFile)
	if err == nil && len(nsswitch) <= maxNsswitch {
		plan.bind(nsswitchFile, ownNsswitch(nsswitch))
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("chive", scratchFolder, "tmpfs", flags, "mode=755,size=1m"); err != nil {
		return fail(err)
	}
	for i, m := range plan.mounts {
		source := filepath.Join(scratchFolder, string(rune('a'+i)))
		if err := m.fill(source); err != nil {
			return fail(err)
		}
		if err := unix.Mount(source, m.target, "", unix.MS_BIND, ""); err != nil {
			return fail(err)
		}
	}
	// What was bound elsewhere stays.
	if err := unix.Unmount(scratchFolder, unix.MNT_DETACH); err != nil {
		return fail(err)
	}
	return nil
}

// plan is what is laid where.
type plan struct{ mounts []mount }

type mount struct {
	target string
	folder bool
	file   string // the name of a file in the folder; empty: none
	text   []byte // of the file
}

func (p *plan) bind(target string, text []byte) {
	p.mounts = append(p.mounts, mount{target: target, text: text})
}

// planMounts covers the folders that are there, and puts our own resolv.conf where the
// system's is, be it in one of them. Without one the resolver asks 127.0.0.1 anyway.
// real follows symbolic links.
func planMounts(real func(string) (string, error)) *plan {
	p := &plan{}
	resolv, err := real(resolvFile)
	if err != nil {
		resolv = ""
	}
	for _, folder := range covered {
		target, err := real(folder)
		if err != nil || slices.ContainsFunc(p.mounts, func(m mount) bool { return m.target == target }) {
			continue
		}
		m := mount{target: target, folder: true}
		if filepath.Dir(resolv) == target {
			m.file, m.text = filepath.Base(resolv), []byte(resolvText)
			resolv = ""
		}
		p.mounts = append(p.mounts, m)
	}
	if resolv != "" {
		p.bind(resolv, []byte(resolvText))
	}
	return p
}

// fill makes what is to be laid over the target.
func (m mount) fill(source string) error {
	if !m.folder {
		return os.WriteFile(source, m.text, 0o644)
	}
	err := os.Mkdir(source, 0o755)
	if err == nil && m.file != "" {
		err = os.WriteFile(filepath.Join(source, m.file), m.text, 0o644)
	}
	return err
}

// ownNsswitch is the system's file with hosts looked up in /etc/hosts and over DNS
// only: other ways lead around the namespace, or nowhere.
func ownNsswitch(text []byte) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(string(text)) {
		if name, _, _ := strings.Cut(line, ":"); strings.TrimSpace(name) != "hosts" {
			out.WriteString(line)
		}
	}
	if out.Len() > 0 && !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
		out.WriteByte('\n')
	}
	out.WriteString("hosts: files dns\n")
	return out.Bytes()
}
