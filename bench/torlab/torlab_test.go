// SPDX-License-Identifier: BSD-3-Clause

package torlab

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chive/bench/lab"
)

func TestModesAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"live": "live", "both": "live tuned", "tuned,live": "tuned live", "live, both": "live tuned", "noconflux": "noconflux",
	} {
		modes, err := ParseModes(text)
		var names []string
		for _, m := range modes {
			names = append(names, m.Name)
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%q: %v, %v", text, names, err)
		}
	}
	for _, text := range []string{"", "fast", "live,,tuned"} {
		if _, err := ParseModes(text); !errors.Is(err, ErrMode) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWhatTorPrintsIsRead(t *testing.T) {
	const hex = "F857710CBB505C8A7606E1BCE419E7E54BA9299F"
	if got := parseVersion("Tor version 0.4.9.11.\nThis build ...\n"); got != "0.4.9.11" {
		t.Errorf("version %q", got)
	}
	if got, err := parseCertificate("dir-key-certificate-version 3\nfingerprint " + hex + "\n"); err != nil || got != hex {
		t.Errorf("certificate %q, %v", got, err)
	}
	if got, err := parseFingerprint("bench0 F857 710C BB50 5C8A 7606 E1BC E419 E7E5 4BA9 299F\n", "bench0"); err != nil || got != hex {
		t.Errorf("fingerprint %q, %v", got, err)
	}
	for _, bad := range []string{"", "fingerprint\n", "fingerprint " + hex[1:] + "\n", "fingerprint " + strings.ToLower(hex) + "\n"} {
		if _, err := parseCertificate(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	if _, err := parseFingerprint("other "+hex+"\n", "bench0"); err == nil {
		t.Error("another relay's fingerprint was read")
	}
}

func TestUsableRelaysAreCounted(t *testing.T) {
	const text = "r a\ns Exit Fast Guard HSDir Running Stable V2Dir Valid\nr b\ns Guard Running\r\nr c\ns Running Valid\nr d\ns Guard Valid\n"
	if got := countUsable(text); got != 2 {
		t.Errorf("counted %d", got)
	}
	if got := countDescriptors("router a 127.0.0.1\nrouter-signature\nplatform router\nrouter b\n"); got != 2 {
		t.Errorf("counted %d descriptors", got)
	}
}

// TestNothingLeavesLoopback reads every file that tor is given: each address is
// 127.0.0.1, names are resolved nowhere, and every relay has its part.
func TestNothingLeavesLoopback(t *testing.T) {
	k := &Keys{}
	for i := range k.relay {
		r := &k.relay[i]
		r.nick, r.fingerprint, r.v3ident = "n", strings.Repeat(string('A'+rune(i)), 40), strings.Repeat("0", 40)
		r.orPort, r.dirPort = uint16(21000+i), uint16(22000+i)
	}
	for _, m := range Modes() {
		files := []string{k.clientTorrc(m, "folder", 23000, "folder/control")}
		for i := range k.relay {
			files = append(files, k.relayTorrc(m, i, "folder"))
		}
		for i, text := range files {
			for line := range strings.Lines(text) {
				f := strings.Fields(line)
				switch f[0] {
				case "ORPort", "DirPort":
					if !strings.HasPrefix(f[1], "127.0.0.1:") {
						t.Errorf("%s: %s", m.Name, line)
					}
				case "SocksPort":
					if f[1] != "0" && !strings.HasPrefix(f[1], "127.0.0.1:") {
						t.Errorf("%s: %s", m.Name, line)
					}
				case "ControlPort":
					if f[1] != "unix:folder/control" {
						t.Errorf("%s: %s", m.Name, line)
					}
				case "DirAuthority":
					if !strings.HasPrefix(f[len(f)-2], "127.0.0.1:") {
						t.Errorf("%s: %s", m.Name, line)
					}
				}
			}
			if got := strings.Count(text, "DirAuthority "); got != authorities {
				t.Errorf("%s: file %d names %d authorities", m.Name, i, got)
			}
			if i > 0 && !strings.Contains(text, "ServerDNSResolvConfFile /dev/null\n") {
				t.Errorf("%s: file %d has a resolver", m.Name, i)
			}
		}
		if exits := strings.Count(strings.Join(files, ""), "ExitRelay 1"); exits != 1 {
			t.Errorf("%s: %d exits", m.Name, exits)
		}
	}
	if got := len(k.named(lab.Guard)) + len(k.named(lab.Middle)) + len(k.named(lab.Exit)); got != relays {
		t.Errorf("%d relays have roles", got)
	}
}

// fakeControl answers each line with what script holds for it.
func fakeControl(t *testing.T, script map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Skipf("SKIPPED: no unix sockets here: %v", err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 1000)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if _, err := io.WriteString(conn, script[strings.TrimSpace(string(buf[:n]))]); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-over
	})
	return path
}

func TestControlPortIsSpoken(t *testing.T) {
	path := fakeControl(t, map[string]string{
		"AUTHENTICATE":          "250 OK\r\n",
		"EXTENDCIRCUIT 0 $A,$B": "650 CIRC 7 LAUNCHED\r\n250 EXTENDED 8\r\n650 CIRC 8 EXTENDED\r\n650 CIRC 8 BUILT $A,$B\r\n",
		"EXTENDCIRCUIT 0 $C":    "650 CIRC 9 LAUNCHED\r\n650 CIRC 9 BUILT $C\r\n250 EXTENDED 9\r\n",
		"EXTENDCIRCUIT 0 $D":    "250 EXTENDED 10\r\n650 CIRC 10 FAILED\r\n650 CIRC 10 CLOSED\r\n",
		"GETINFO x":             "250+x=\r\nr a\r\ns Running\r\n.\r\n250 OK\r\n",
		"NONSENSE":              "510 Unrecognized command\r\n",
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := openControl(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for path, good := range map[string]bool{"$A,$B": true, "$C": true, "$D": false} {
		id, err := c.startExtend(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.waitExtend(ctx, id); (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
	}
	if lines, err := c.command(ctx, "GETINFO x"); err != nil || len(lines) != 5 {
		t.Errorf("%q, %v", lines, err)
	}
	if _, err := c.command(ctx, "NONSENSE"); !errors.Is(err, errControl) {
		t.Errorf("got %v", err)
	}
}
