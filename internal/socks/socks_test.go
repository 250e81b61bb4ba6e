// SPDX-License-Identifier: BSD-3-Clause

package socks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// against runs do on one end of a connection while the other end follows a script:
// it reads what is expected and answers it, then closes.
func against(t *testing.T, script []string, do func(c net.Conn) error) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for i := 0; i+1 < len(script); i += 2 {
			got := make([]byte, len(script[i]))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != script[i] {
				t.Errorf("step %d: got %x, want %x (%v)", i/2, got, script[i], err)
				return
			}
			_, _ = io.WriteString(c, script[i+1])
		}
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	err = do(c)
	_ = c.Close()
	<-done
	return err
}

const (
	hello = "\x05\x01\x00"
	okay  = "\x05\x00"
	good4 = "\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34"
)

func TestRequestsAreAsWritten(t *testing.T) {
	connect := func(host string, early string) func(net.Conn) error {
		return func(c net.Conn) error { return Connect(t.Context(), c, Credentials{}, host, 443, []byte(early)) }
	}
	for _, c := range []struct {
		name   string
		script []string
		do     func(net.Conn) error
	}{
		{"name", []string{hello, okay, "\x05\x01\x00\x03\x06a.test\x01\xbb", good4}, connect("a.test", "")},
		{"early data", []string{hello, okay, "\x05\x01\x00\x03\x06a.test\x01\xbbHI", good4}, connect("a.test", "HI")},
		{"IPv4", []string{hello, okay, "\x05\x01\x00\x01\x01\x02\x03\x04\x01\xbb", good4}, connect("1.2.3.4", "")},
		{"mapped", []string{hello, okay, "\x05\x01\x00\x01\x01\x02\x03\x04\x01\xbb", good4}, connect("::ffff:1.2.3.4", "")},
		{"IPv6", []string{hello, okay, "\x05\x01\x00\x04" + strings.Repeat("\x00", 15) + "\x01\x01\xbb", good4}, connect("::1", "")},
		{"credentials", []string{"\x05\x01\x02", "\x05\x02", "\x01\x01u\x02pw", "\x01\x00", "\x05\x01\x00\x03\x01a\x01\xbb", good4},
			func(c net.Conn) error {
				return Connect(t.Context(), c, Credentials{"u", "pw"}, "a", 443, nil)
			}},
		{"resolve", []string{hello, okay, "\x05\xf0\x00\x03\x01a\x00\x00", good4}, func(c net.Conn) error {
			a, err := Resolve(t.Context(), c, Credentials{}, "a")
			if a != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("got %v", a)
			}
			return err
		}},
		{"resolve back", []string{hello, okay, "\x05\xf1\x00\x01\x01\x02\x03\x04\x00\x00", "\x05\x00\x00\x03\x06a.test\x00\x00"}, func(c net.Conn) error {
			name, err := ResolveAddr(t.Context(), c, Credentials{}, netip.MustParseAddr("1.2.3.4"))
			if name != "a.test" {
				t.Errorf("got %q", name)
			}
			return err
		}},
		{"associate", []string{hello, okay, "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00", good4}, func(c net.Conn) error {
			a, err := Associate(t.Context(), c, Credentials{})
			if a != netip.MustParseAddrPort("127.0.0.1:4660") {
				t.Errorf("got %v", a)
			}
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := against(t, c.script, c.do); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNothingOfTheStreamIsRead: what follows the reply stays for the caller.
func TestNothingOfTheStreamIsRead(t *testing.T) {
	err := against(t, []string{hello, okay, "\x05\x01\x00\x03\x01a\x01\xbb", good4 + "first bytes"}, func(c net.Conn) error {
		if err := Connect(t.Context(), c, Credentials{}, "a", 443, nil); err != nil {
			return err
		}
		got, err := io.ReadAll(c)
		if string(got) != "first bytes" {
			t.Errorf("got %q", got)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	request := "\x05\x01\x00\x03\x01a\x01\xbb"
	for _, c := range []struct {
		name   string
		script []string
		want   error
	}{
		{"hangs up", []string{hello, ""}, ErrBroken},
		{"half a choice", []string{hello, "\x05"}, ErrBroken},
		{"no method", []string{hello, "\x05\xff"}, ErrProtocol},
		{"HTTP", []string{hello, "HTTP/1.1 400 no\r\n"}, ErrProtocol},
		{"half a reply", []string{hello, okay, request, "\x05\x00\x00"}, ErrBroken},
		{"unknown address", []string{hello, okay, request, "\x05\x00\x00\x02"}, ErrProtocol},
		{"short address", []string{hello, okay, request, "\x05\x00\x00\x01\x7f\x00\x00\x01\x12"}, ErrBroken},
		{"short name", []string{hello, okay, request, "\x05\x00\x00\x03\x09a"}, ErrBroken},
		{"other version", []string{hello, okay, request, "\x04\x00\x00\x01\x7f\x00\x00\x01\x12\x34"}, ErrProtocol},
	} {
		err := against(t, c.script, func(conn net.Conn) error {
			return Connect(t.Context(), conn, Credentials{}, "a", 443, nil)
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for _, m := range meanings {
		err := against(t, []string{hello, okay, request, "\x05" + string([]byte{m.code}) + "\x00\x01\x00\x00\x00\x00\x00\x00"}, func(conn net.Conn) error {
			return Connect(t.Context(), conn, Credentials{}, "a", 443, nil)
		})
		var refused *Refused
		if !errors.As(err, &refused) || refused.Reason() != m.reason || refused.Text() == "" || refused.Fix() == "" {
			t.Errorf("code %d: %v", m.code, err)
		}
	}
}

func TestTooLongIsRefusedBeforeAnythingIsSent(t *testing.T) {
	long := strings.Repeat("x", MaxText+1)
	for name, try := range map[string]func(c net.Conn) error{
		"host":     func(c net.Conn) error { return Connect(t.Context(), c, Credentials{}, long, 1, nil) },
		"no host":  func(c net.Conn) error { return Connect(t.Context(), c, Credentials{}, "", 1, nil) },
		"user":     func(c net.Conn) error { return Connect(t.Context(), c, Credentials{User: long}, "a", 1, nil) },
		"password": func(c net.Conn) error { return Connect(t.Context(), c, Credentials{Password: long}, "a", 1, nil) },
	} {
		if err := against(t, nil, try); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheContextEndsAWait(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	a, b := net.Pipe()
	defer b.Close()
	go func() { _, _ = io.Copy(io.Discard, b) }()
	if err := Connect(ctx, a, Credentials{}, "a", 1, nil); !errors.Is(err, ErrBroken) {
		t.Errorf("got %v", err)
	}
	_ = a.Close()
}

func TestDatagramHeads(t *testing.T) {
	for _, host := range []string{"a.test", "1.2.3.4", "2001:db8::1", strings.Repeat("x", MaxText)} {
		b, err := AppendHeader(nil, host, 53)
		if err != nil || len(b) > MaxHeader {
			t.Fatal(err, len(b))
		}
		whole := append(bytes.Clone(b), "payload"...)
		got, port, payload, err := CutHeader(whole)
		if err != nil || got != host || port != 53 || string(payload) != "payload" {
			t.Errorf("%s: %q %d %q %v", host, got, port, payload, err)
		}
		for n := range b {
			if _, _, _, err := CutHeader(b[:n]); !errors.Is(err, ErrDatagram) {
				t.Errorf("%s cut at %d: %v", host, n, err)
			}
		}
	}
	if _, _, _, err := CutHeader([]byte{0, 0, 1, 1, 1, 2, 3, 4, 0, 53}); !errors.Is(err, ErrDatagram) {
		t.Error("a fragment is taken")
	}
}

func FuzzCutHeader(f *testing.F) {
	for _, host := range []string{"a.test", "1.2.3.4", "2001:db8::1"} {
		b, _ := AppendHeader(nil, host, 53)
		f.Add(append(b, 'x'))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if host, _, payload, err := CutHeader(b); err == nil && (host == "" || len(payload) > len(b)) {
			t.Errorf("%x: %q", b, host)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte(good4))
	f.Add([]byte("\x05\x00\x00\x03\x06a.test\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := readReply(bytes.NewReader(b)); err == nil && !a.ip.IsValid() && a.name == "" && len(b) > 4 && b[3] != kindName {
			t.Errorf("%x: an address of no kind", b)
		}
	})
}
