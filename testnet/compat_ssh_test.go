// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// testSSH logs in to an sshd of the test's own user.
func (c *compat) testSSH(t *testing.T) {
	s := &shell{compat: c, dir: t.TempDir(), name: shellName}
	s.sshd, s.ssh, s.scp = need(t, "sshd", "openssh-server"), need(t, "ssh", "openssh-client"), need(t, "scp", "openssh-client")
	nc := need(t, "nc.openbsd", "netcat-openbsd")
	s.serve(t)
	for _, r := range []struct{ name, command string }{
		{"nc -X 5", nc + " -X 5 -x " + c.socks}, {"nc -X connect", nc + " -X connect -x " + c.socks},
		{"chive nc", c.chive + " nc --socks " + c.socks},
	} {
		c.row(t, r.name, func(t *testing.T) { s.round(t, r.command+" %h %p") })
	}
}

// shell is a server that programs log in to, and the programs.
type shell struct {
	*compat
	dir, name      string
	sshd, ssh, scp string

	mu  sync.Mutex
	log bytes.Buffer // what the servers complained of
}

// serve starts an sshd for each connection to its name, with keys of its own.
func (s *shell) serve(t *testing.T) {
	t.Helper()
	keygen := need(t, "ssh-keygen", "openssh-client")
	for _, name := range []string{"host", "user"} {
		if r := s.run(t, program{path: keygen, args: []string{"-q", "-t", "ed25519", "-N", "", "-C", name, "-f", s.file(name)}}); r.code != 0 {
			t.Fatal(r)
		}
	}
	s.write(t, "known", s.name+" "+s.read(t, "host.pub"))
	s.write(t, "config", "HostKey "+s.file("host")+"\nAuthorizedKeysFile "+s.file("user.pub")+"\n"+
		"UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"+
		"PermitRootLogin prohibit-password\nUseDNS no\nLogLevel ERROR\nPidFile none\nSubsystem sftp internal-sftp\n")
	if os.Getuid() == 0 {
		s.privsep(t)
	}
	ln := s.town.listen(t, s.name, 22)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			served.Go(func() { s.login(conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		served.Wait()
		if t.Failed() {
			t.Logf("sshd: %s", s.log.String())
		}
	})
}

// login runs sshd on one connection, as inetd would.
func (s *shell) login(conn *net.TCPConn) {
	f, err := conn.File()
	conn.Close()
	if err != nil {
		return
	}
	cmd := exec.Command(s.sshd, "-i", "-e", "-f", s.file("config"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, s
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	err = cmd.Start()
	f.Close()
	if err == nil {
		_ = cmd.Wait() // its code says how the client left
	}
}

// Write keeps what an sshd says.
func (s *shell) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

// privsep makes the empty folder that sshd wants where it runs as root, as the
// package's own start script does. It stays: another sshd may use it by now.
func (s *shell) privsep(t *testing.T) {
	t.Helper()
	if err := os.Mkdir("/run/sshd", 0o755); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
}

func (s *shell) file(name string) string { return filepath.Join(s.dir, name) }

func (s *shell) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *shell) read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(s.file(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// round runs a command and copies ten megabytes there and back.
func (s *shell) round(t *testing.T, proxy string) {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	opts := []string{"-F", "/dev/null", "-i", s.file("user"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile=" + s.file("known"), "-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes",
		"-o", "ProxyCommand=" + proxy}
	at := me.Username + "@" + s.name
	s.must(t, program{path: s.ssh, args: append(opts, at, "echo over $((6*7))")}, "over 42\n")
	s.must(t, program{path: s.ssh, args: append(opts, at, "cat"), stdin: strings.NewReader("typed")}, "typed")
	if r := s.run(t, program{path: s.ssh, args: append(opts, at, "exit 3")}); r.code != 3 {
		t.Errorf("want exit 3\n%s", r)
	}

	data := make([]byte, 10<<20)
	_, _ = stream(22).Read(data)
	s.write(t, "ten", string(data))
	there, back := s.file("there"), s.file("back")
	for _, path := range []string{there, back} {
		_ = os.Remove(path)
	}
	for _, args := range [][]string{{s.file("ten"), at + ":" + there}, {at + ":" + there, back}} {
		if r := s.run(t, program{path: s.scp, args: append(append([]string{"-q"}, opts...), args...)}); r.code != 0 {
			t.Fatal(r)
		}
	}
	for _, path := range []string{there, back} {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", filepath.Base(path), len(got), err)
		}
	}
}
