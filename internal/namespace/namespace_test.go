// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package namespace

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideKey is set in the environment of this program started again.
const insideKey = "CHIVE_TEST_INSIDE"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == insideKey {
		os.Exit(Enter(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// begin starts a shell inside, or skips loudly.
func begin(t *testing.T, script string) (*Inside, *os.File) {
	t.Helper()
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	i, err := Start(Config{
		Args: []string{insideKey}, Path: "/bin/sh", Command: []string{"sh", "-c", script},
		Env: []string{"PATH=" + os.Getenv("PATH"), "MARK=mine"}, Stdout: w, Stderr: w,
	})
	_ = w.Close()
	if err != nil {
		var f *Failure
		if !errors.As(err, &f) {
			t.Fatal(err)
		}
		if os.Getenv("CHIVE_REQUIRE_TOOLS") == "1" {
			t.Fatalf("no namespaces can be made here: %v (%v)", err, f.Errno)
		}
		t.Skipf("NOT TESTED: no namespaces can be made here: %v (%v)", err, f.Errno)
	}
	t.Cleanup(i.CloseSockets)
	return i, out
}

func end(t *testing.T, i *Inside, out io.Reader) (string, int) {
	t.Helper()
	if err := i.Release(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	code, err := i.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), code
}

func TestInsideIsLoopbackAlone(t *testing.T) {
	i, out := begin(t, "cat /proc/self/net/dev; cat /etc/resolv.conf; grep ^hosts /etc/nsswitch.conf; echo $MARK; ls -A /run/systemd/resolve /run/nscd 2>/dev/null; exit 7")
	text, code := end(t, i, out)
	if code != 7 {
		t.Errorf("exit code %d", code)
	}
	interfaces := 0
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, ":"); ok && !strings.Contains(name, "|") && name != "hosts" && name != "options timeout" {
			interfaces++
			if strings.TrimSpace(name) != "lo" && !isTunnel(name) {
				t.Errorf("there is an interface %s", name)
			}
		}
	}
	if interfaces == 0 || !strings.Contains(text, "nameserver 127.0.0.1\n") || !strings.Contains(text, "\nmine\n") {
		t.Errorf("inside: %s", text)
	}
	if strings.Contains(text, "hosts:") && !strings.Contains(text, "hosts: files dns\n") {
		t.Errorf("names are looked up otherwise: %s", text)
	}
	// What is outside is as it was.
	if own, err := os.ReadFile(resolvFile); err == nil && string(own) == resolvText {
		t.Error("the system's own resolv.conf was covered outside")
	}
}

// isTunnel knows the interfaces that some kernels put into every namespace; they are
// down.
func isTunnel(name string) bool {
	name = strings.TrimSpace(name)
	for _, begin := range []string{"tunl", "gre", "gretap", "erspan", "ip_vti", "ip6_vti", "sit", "ip6tnl", "ip6gre"} {
		if strings.HasPrefix(name, begin) {
			return true
		}
	}
	return false
}

// TestSocketsAreServedFromOutside: this process accepts what the command sends, and
// cannot reach these sockets itself.
func TestSocketsAreServedFromOutside(t *testing.T) {
	i, out := begin(t, "read line; echo got $line")
	if len(i.Packets) != PacketCount {
		t.Fatalf("%d sockets", len(i.Packets))
	}
	if i.Proxy.Addr().String() != ProxyAddress || i.DNS.Addr().String() != DNSAddress || i.DNSPackets.LocalAddr().String() != DNSAddress {
		t.Errorf("at %v, %v, %v", i.Proxy.Addr(), i.DNS.Addr(), i.DNSPackets.LocalAddr())
	}
	first := i.Packets[0].LocalAddr().String()
	if c, err := net.DialTimeout("tcp", DNSAddress, time.Second); err == nil {
		_ = c.Close()
		accepted := make(chan struct{})
		go func() {
			if c, err := i.DNS.Accept(); err == nil {
				_ = c.Close()
				close(accepted)
			}
		}()
		select {
		case <-accepted:
			t.Error("the name server inside is reached from outside")
		case <-time.After(50 * time.Millisecond):
		}
	}
	// Two sockets inside reach each other.
	second, err := net.ResolveUDPAddr("udp", i.Packets[1].LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Packets[0].WriteTo([]byte("hello"), second); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	_ = i.Packets[1].SetReadDeadline(time.Now().Add(5 * time.Second))
	n, from, err := i.Packets[1].ReadFrom(b)
	if err != nil || string(b[:n]) != "hello" || from.String() != first {
		t.Errorf("got %q from %v: %v", b[:n], from, err)
	}
	if text, code := end(t, i, out); code != 0 || text != "got\n" {
		t.Errorf("%q, %d", text, code)
	}
}

func TestSignalsAndTheirCodes(t *testing.T) {
	i, out := begin(t, "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done")
	if err := i.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if err := i.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, err := i.Wait(); code != 3 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	i, out = begin(t, "kill -KILL $$")
	if _, code := end(t, i, out); code != 128+9 {
		t.Errorf("code %d", code)
	}
}

func TestCommandThatIsNone(t *testing.T) {
	i, _ := begin(t, "")
	i.CloseSockets()
	_ = i.Signal(os.Kill)
	_, _ = i.Wait()
	i, err := Start(Config{Args: []string{insideKey}, Path: "/etc/passwd", Command: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	err = i.Release()
	var f *Failure
	if !errors.As(err, &f) || f.Step != StepExec || f.Errno != syscall.EACCES {
		t.Errorf("got %+v", f)
	}
}

func TestPlanOfMounts(t *testing.T) {
	for _, c := range []struct {
		name  string
		links map[string]string
		want  []string
	}{
		{"plain", map[string]string{resolvFile: resolvFile}, []string{resolvFile}},
		{"nothing", nil, nil},
		{"systemd", map[string]string{resolvFile: "/run/systemd/resolve/stub-resolv.conf", "/run/systemd/resolve": "/run/systemd/resolve"},
			[]string{"/run/systemd/resolve/+stub-resolv.conf"}},
		{"nscd by two names", map[string]string{resolvFile: resolvFile, "/run/nscd": "/run/nscd", "/var/run/nscd": "/run/nscd"},
			[]string{"/run/nscd/", resolvFile}},
		{"elsewhere", map[string]string{resolvFile: "/run/NetworkManager/resolv.conf"}, []string{"/run/NetworkManager/resolv.conf"}},
	} {
		p := planMounts(func(path string) (string, error) {
			if to, ok := c.links[path]; ok {
				return to, nil
			}
			return "", os.ErrNotExist
		})
		var got []string
		for _, m := range p.mounts {
			text := m.target
			if m.folder {
				text += "/"
			}
			if m.file != "" {
				text += "+" + m.file
			}
			if (m.file != "" || !m.folder) && string(m.text) != resolvText {
				t.Errorf("%s: %s holds %q", c.name, m.target, m.text)
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestHostsAreLookedUpInOneWay(t *testing.T) {
	for in, want := range map[string]string{
		"": "hosts: files dns\n",
		"passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return] resolve dns\nnetworks: files": "passwd: files\nnetworks: files\nhosts: files dns\n",
		"  hosts : x\n": "hosts: files dns\n",
	} {
		if got := ownNsswitch([]byte(in)); !bytes.Equal(got, []byte(want)) {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestMessagesArriveAsTheyWere(t *testing.T) {
	f := parseMessage(messageOf(&Failure{Step: StepMount, Errno: syscall.EPERM}))
	if f.Step != StepMount || f.Errno != syscall.EPERM || f.Error() != "namespace: mount failed" {
		t.Errorf("%+v", f)
	}
	if f := parseMessage(messageOf(io.EOF)); f.Errno != 0 {
		t.Errorf("%+v", f)
	}
}

func TestObstaclesAreFound(t *testing.T) {
	for _, c := range []struct {
		file, value string
		want        Obstacle
	}{
		{"sys/user/max_user_namespaces", "0\n", NoneLeft},
		{"sys/user/max_user_namespaces", "10\n", Unknown},
		{"sys/kernel/unprivileged_userns_clone", "0\n", RootOnly},
		{"sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", AppArmor},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"self/ns/user": "", c.file: c.value} {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := findObstacle(dir); got != c.want {
			t.Errorf("%s %q: %d", c.file, c.value, got)
		}
	}
	if got := findObstacle(t.TempDir()); got != NotInTheOS {
		t.Errorf("nothing there: %d", got)
	}
}
