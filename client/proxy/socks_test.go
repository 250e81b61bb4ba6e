// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"strings"
	"testing"
)

// TestSOCKSDecodersWaitAtEveryByte: what is cut short asks for more, at every
// byte, and what follows a whole message does not count.
func TestSOCKSDecodersWaitAtEveryByte(t *testing.T) {
	v := vectors(t)
	size := func(name string, b []byte) (int, error) {
		switch {
		case strings.HasPrefix(name, "socks4"):
			_, n, err := parseSOCKS4(b)
			return n, err
		case name == "socks5_greeting":
			_, n, err := parseGreeting(b)
			return n, err
		case name == "socks5_userpass":
			_, n, err := parseUserPass(b)
			return n, err
		}
		_, n, err := parseSOCKS5(b)
		return n, err
	}
	for name, b := range v {
		if strings.HasPrefix(name, "udp") || strings.Contains(name, "reply") || strings.HasSuffix(name, "granted") ||
			strings.HasSuffix(name, "refused") || strings.HasSuffix(name, "resolved") {
			continue
		}
		for cut := range b {
			if _, err := size(name, b[:cut]); err != errShort {
				t.Errorf("%s cut at %d: %v", name, cut, err)
			}
		}
		if n, err := size(name, append(bytes.Clone(b), "more"...)); err != nil || n != len(b) {
			t.Errorf("%s with more behind: %d, %v", name, n, err)
		}
	}
}

func TestSOCKS4BoundsItsTexts(t *testing.T) {
	head := []byte{4, 1, 0, 80, 0, 0, 0, 1}
	for _, c := range []struct {
		user, name int
		err        error
	}{
		{255, 253, nil}, {256, 1, errMalformed}, {0, 255, nil}, {0, 256, errMalformed},
	} {
		b := cat(head, strings.Repeat("u", c.user), 0, strings.Repeat("n", c.name), 0)
		if _, _, err := parseSOCKS4(b); err != c.err {
			t.Errorf("user %d, name %d: %v", c.user, c.name, err)
		}
	}
	// A field without end is refused as soon as it is over its bound.
	if _, _, err := parseSOCKS4(cat(head, strings.Repeat("u", 255))); err != errShort {
		t.Error(err)
	}
	if _, _, err := parseSOCKS4(cat(head, strings.Repeat("u", 256))); err != errMalformed {
		t.Error(err)
	}
	if len(cat(head, strings.Repeat("u", 255), 0, strings.Repeat("n", 255), 0)) != maxSOCKS4 {
		t.Error("maxSOCKS4 is not the longest request")
	}
}

func TestSOCKS5UnknownAddressTypeIsNotWaitedFor(t *testing.T) {
	r, n, err := parseSOCKS5([]byte{5, 1, 0, 2})
	if err != nil || n != 4 || !r.unknown {
		t.Errorf("%+v %d %v", r, n, err)
	}
}

func TestMethodChoice(t *testing.T) {
	for _, c := range []struct {
		offered    []byte
		preferNone bool
		want       byte
	}{
		{[]byte{0}, false, 0}, {[]byte{0, 1}, false, 0}, {[]byte{0, 1, 2}, false, 2}, {[]byte{2}, false, 2},
		{[]byte{2, 0}, true, 0}, {[]byte{2}, true, 2}, {[]byte{1}, false, 0xFF}, {nil, false, 0xFF}, {[]byte{1, 3}, true, 0xFF},
	} {
		if got := chooseMethod(c.offered, c.preferNone); got != c.want {
			t.Errorf("% x, prefer %v: %x", c.offered, c.preferNone, got)
		}
	}
}

func TestUDPHeaderDropsWhatIsNotOneDatagram(t *testing.T) {
	v := vectors(t)
	for _, name := range []string{"udp_name", "udp_ipv4"} {
		b := v[name]
		header := len(b) - len("payload")
		for cut := range header {
			if _, _, err := parseUDPHeader(b[:cut]); err != errMalformed {
				t.Errorf("%s cut at %d: %v", name, cut, err)
			}
		}
		if _, n, err := parseUDPHeader(b[:header]); err != nil || n != header {
			t.Errorf("%s without payload: %v", name, err)
		}
		for frag := 1; frag < 256; frag++ {
			f := bytes.Clone(b)
			f[2] = byte(frag)
			if _, _, err := parseUDPHeader(f); err != errMalformed {
				t.Errorf("fragment %d: %v", frag, err)
			}
		}
	}
	for _, bad := range []string{"", "a..b", "a b", "fe80::1%x y"} {
		if _, ok := appendUDPHeader(nil, Target{Host: bad, Port: 1}); ok && bad != "fe80::1%x y" {
			t.Errorf("header for %q", bad)
		}
	}
	long := Target{Host: strings.Repeat("a.", 126) + "a", Port: 65535}
	b, ok := appendUDPHeader(nil, long)
	if a, n, err := parseUDPHeader(b); !ok || err != nil || n > maxUDPHeader || a.name != long.Host || a.port != long.Port {
		t.Errorf("longest name: %v %v", ok, err)
	}
}

func FuzzSOCKS4(f *testing.F) {
	for name, b := range vectors(f) {
		if strings.HasPrefix(name, "socks4") {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, err := parseSOCKS4(b)
		if err != nil {
			if err == errShort && len(b) >= maxSOCKS4 {
				t.Fatal("a request longer than the longest is still waited for")
			}
			return
		}
		if n > len(b) || n > maxSOCKS4 || len(r.user) > maxUser || len(r.to.name) > maxNameField {
			t.Fatal("bounds")
		}
		again := cat([]byte{4, r.command, byte(r.to.port >> 8), byte(r.to.port)})
		if r.to.ip.IsValid() {
			a := r.to.ip.As4()
			again = cat(again, a[:], r.user, 0)
		} else {
			again = cat(again, b[4:8], r.user, 0, r.to.name, 0)
		}
		if !bytes.Equal(again, b[:n]) {
			t.Fatalf("% x became % x", b[:n], again)
		}
		for cut := range n {
			if _, _, err := parseSOCKS4(b[:cut]); err != errShort {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
	})
}

func FuzzSOCKS5(f *testing.F) {
	for name, b := range vectors(f) {
		if strings.HasPrefix(name, "socks5") {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if methods, n, err := parseGreeting(b); err == nil && (n != 2+len(methods) || n > maxGreeting) {
			t.Fatal("greeting")
		}
		if c, n, err := parseUserPass(b); err == nil {
			again := cat(1, len(c.user), c.user, len(c.password), c.password)
			if !bytes.Equal(again, b[:n]) || n > maxUserPass {
				t.Fatal("user and password")
			}
		}
		r, n, err := parseSOCKS5(b)
		if err != nil || r.unknown {
			if err == errShort && len(b) >= maxSOCKS5 {
				t.Fatal("a request longer than the longest is still waited for")
			}
			return
		}
		if n > maxSOCKS5 {
			t.Fatal("bounds")
		}
		again := cat(5, int(r.command), int(b[2]))
		if !r.to.ip.IsValid() && r.to.name == "" {
			again = cat(again, 3, 0, b[n-2:n])
		} else {
			again = appendAddress(again, r.to)
		}
		if !bytes.Equal(again, b[:n]) {
			t.Fatalf("% x became % x", b[:n], again)
		}
		for cut := range n {
			if _, _, err := parseSOCKS5(b[:cut]); err != errShort {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
		if ip, name, err := r.to.host(); err == nil {
			checkHost(t, ip, name)
		}
	})
}

func FuzzUDPHeader(f *testing.F) {
	for name, b := range vectors(f) {
		if strings.HasPrefix(name, "udp") {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, n, err := parseUDPHeader(b)
		if err != nil {
			return
		}
		if n > len(b) || n > maxUDPHeader || b[2] != 0 {
			t.Fatal("bounds")
		}
		ip, name, err := a.host()
		if err != nil || a.port == 0 {
			return
		}
		checkHost(t, ip, name)
		to := Target{Host: name, Port: a.port}
		if name == "" {
			to.Host = ip.String()
		}
		again, ok := appendUDPHeader(nil, to)
		if !ok {
			t.Fatal("a target that was taken cannot be sent back")
		}
		a2, _, err := parseUDPHeader(again)
		ip2, name2, err2 := a2.host()
		if err != nil || err2 != nil || ip2 != ip || name2 != name || a2.port != a.port {
			t.Fatalf("% x became % x", b[:n], again)
		}
	})
}
