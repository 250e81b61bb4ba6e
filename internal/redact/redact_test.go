// SPDX-License-Identifier: BSD-3-Clause

package redact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func line(fields ...Field) string {
	var b bytes.Buffer
	log := zerolog.New(&b)
	e := log.Info()
	for _, f := range fields {
		e = e.EmbedObject(f)
	}
	e.Msg("m")
	return b.String()
}

func TestFieldsPrintWhatTheListAllows(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, test := range []struct {
		field Field
		want  string
	}{
		{Event("ready"), `"event":"ready"`},
		{RoleRelay, `"role":"relay"`},
		{Role(200), `"role":"node"`},
		{DiskFull, `"reason":"disk_full"`},
		{Reason(200), `"reason":"other"`},
		{Count("listeners", 3), `"listeners":3`},
		{Count("listeners", -3), `"listeners":0`},
		{Total("cells", 123_456), `"cells":120000`},
		{Took(2 * time.Second), `"took_ms_at_most":3000`},
		{Version("1.2.3-rc.1+abc"), `"version":"1.2.3-rc.1+abc"`},
		{Version("/home/alice"), `"version":"unknown"`},
		{Version(strings.Repeat("1", 33)), `"version":"unknown"`},
		{Version(""), `"version":"unknown"`},
		{Listen(listener), `"listen":"` + listener.Addr().String() + `"`},
		{Listener("127.0.0.1:9250"), `"listener":"127.0.0.1:9250"`},
		{Listener("mail=127.0.0.1:9250"), `"listener":"mail=127.0.0.1:9250"`},
		{Listener("mail=unix:/home/alice/s"), `"listener":"mail=unix"`},
		{Listener("unix:/home/alice=127.0.0.1:1"), `"listener":"127.0.0.1:1"`},
		{Listener("/home/alice"), `"listener":"unix"`},
	} {
		if got := line(test.field); !strings.Contains(got, test.want) {
			t.Errorf("printed %s, want %s in it", got, test.want)
		}
	}
}

func TestEveryRoleAndReasonHasItsOwnName(t *testing.T) {
	seen := make(map[string]bool)
	for r := range reasonListCount {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("reason %d has the name %q", r, name)
		}
		seen[r.String()] = true
	}
	clear(seen)
	for r := RoleNode; r <= RoleTestnet; r++ {
		if seen[r.String()] {
			t.Errorf("role %d shares the name %q", r, r)
		}
		seen[r.String()] = true
	}
}

func TestUnixSocketPathsAreNotPrinted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alice.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Skip("no unix sockets here")
	}
	defer listener.Close()
	if got := line(Listen(listener)); strings.Contains(got, "alice") || !strings.Contains(got, `"listen":"unix"`) {
		t.Errorf("printed %s", got)
	}
}

func TestTotalsKeepTwoDigits(t *testing.T) {
	for n, want := range map[uint64]uint64{
		0: 0, 7: 7, 99: 99, 100: 100, 101: 100, 105: 110, 994: 990, 995: 1000, 12_499: 12_000, 12_500: 13_000,
		math.MaxUint64: 18_000_000_000_000_000_000,
	} {
		if got := Round(n); got != want {
			t.Errorf("Round(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestDurationsFallIntoBuckets(t *testing.T) {
	for d, want := range map[time.Duration]uint64{
		-time.Second: 1, 0: 1, time.Millisecond: 1, time.Millisecond + 1: 3, 3 * time.Millisecond: 3,
		4 * time.Millisecond: 10, 11 * time.Millisecond: 30, 31 * time.Millisecond: 100, time.Minute: 100_000,
		9 * time.Hour: 86_400_000, 24 * time.Hour: 86_400_000, math.MaxInt64: 86_400_000,
	} {
		if got := Bucket(d); got != want {
			t.Errorf("Bucket(%v) = %d, want %d", d, got, want)
		}
	}
}

type slow struct{}

func (slow) Error() string { return "slow" }
func (slow) Timeout() bool { return true }

func TestErrorsAreClassified(t *testing.T) {
	op := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(9, 9, 9, 9), Port: 1}, Err: err}
	}
	call := func(n syscall.Errno) error { return op(os.NewSyscallError("connect", n)) }
	for _, test := range []struct {
		err  error
		want Reason
	}{
		{nil, None},
		{errors.New("x"), Other},
		{fmt.Errorf("a: %w", DiskFull), DiskFull},
		{call(syscall.ECONNREFUSED), Refused},
		{call(syscall.EHOSTUNREACH), Unreachable},
		{call(syscall.ENETUNREACH), Unreachable},
		{call(syscall.ETIMEDOUT), Timeout},
		{call(syscall.ECONNRESET), Reset},
		{call(syscall.EPIPE), Reset},
		{call(syscall.EADDRINUSE), AddressInUse},
		{call(syscall.EADDRNOTAVAIL), AddressForeign},
		{call(syscall.EMFILE), TooManyFiles},
		{call(syscall.ENOMEM), OutOfMemory},
		{&fs.PathError{Op: "write", Path: "/home/alice", Err: syscall.ENOSPC}, DiskFull},
		{&fs.PathError{Op: "open", Path: "/home/alice", Err: syscall.ENOENT}, FileNotFound},
		{&fs.PathError{Op: "open", Path: "/home/alice", Err: syscall.EROFS}, ReadOnly},
		{&fs.PathError{Op: "open", Path: "/home/alice", Err: syscall.EACCES}, NotPermitted},
		{&fs.PathError{Op: "open", Path: "/home/alice", Err: syscall.EEXIST}, FileExists},
		{&fs.PathError{Op: "read", Path: "/home/alice", Err: syscall.EIO}, DiskFault},
		{&net.DNSError{Name: "alice.example", IsNotFound: true}, NameNotFound},
		{&net.DNSError{Name: "alice.example", IsTimeout: true}, Timeout},
		{&net.DNSError{Name: "alice.example"}, ResolverFailed},
		{op(context.Canceled), Cancelled},
		{context.DeadlineExceeded, Timeout},
		{op(os.ErrDeadlineExceeded), Timeout},
		{op(slow{}), Timeout},
		{op(net.ErrClosed), Closed},
		{io.EOF, Ended},
		{io.ErrUnexpectedEOF, Ended},
		{fs.ErrNotExist, FileNotFound},
		{errors.ErrUnsupported, Unsupported},
	} {
		got := Classify(test.err)
		if got != test.want {
			t.Errorf("Classify(%v) = %v, want %v", test.err, got, test.want)
		}
		if text := got.Error(); strings.Contains(text, "alice") || strings.Contains(text, "9.9") {
			t.Errorf("the reason's text holds a value: %s", text)
		}
	}
	if !errors.Is(errors.Join(errors.New("x"), Refused), Refused) {
		t.Error("a joined reason is not found")
	}
}

func TestRealErrorsAreClassified(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if _, err := net.Listen("tcp", address); Classify(err) != AddressInUse {
		t.Errorf("second listener: %v", Classify(err))
	}
	listener.Close()
	if _, err := listener.Accept(); Classify(err) != Closed {
		t.Errorf("closed listener: %v", Classify(err))
	}
	if _, err := net.Dial("tcp", address); Classify(err) != Refused {
		t.Errorf("closed port: %v", Classify(err))
	}
	if _, err := os.Open(filepath.Join(t.TempDir(), "none")); Classify(err) != FileNotFound {
		t.Errorf("missing file: %v", Classify(err))
	}
}

func TestPublicLoggerCutsTimesAndRepetition(t *testing.T) {
	var b bytes.Buffer
	now := time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)
	log := NewLogger(Options{Writer: &b, Level: zerolog.DebugLevel, Now: func() time.Time { return now }})
	log.Debug().Msg("hidden")
	for range 250 {
		log.Warn().Msg("busy")
	}
	log.Info().Msg("busy") // another level is another kind
	if got := strings.Count(b.String(), "\n"); got != 2 {
		t.Fatalf("%d lines, want 2:\n%s", got, b.String())
	}
	if s := b.String(); !strings.Contains(s, `"time":"2030-01-02T03:04:00Z"`) || strings.Contains(s, ":05") {
		t.Errorf("time is not cut to the minute: %s", s)
	}
	b.Reset()
	now = now.Add(time.Minute)
	log.Warn().Msg("busy")
	if s := b.String(); !strings.Contains(s, `"left_out":250`) {
		t.Errorf("the next minute does not say what was left out: %s", s)
	}
}

func TestTestnetLoggerPrintsEverything(t *testing.T) {
	var b bytes.Buffer
	now := time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)
	log := NewLogger(Options{Writer: &b, Testnet: true, Now: func() time.Time { return now }})
	for range 3 {
		log.Debug().Msg("again")
	}
	if s := b.String(); strings.Count(s, "\n") != 3 || !strings.Contains(s, "03:04:05.678Z") {
		t.Errorf("printed %s", s)
	}
}

func TestConsoleLoggerIsReadable(t *testing.T) {
	var b bytes.Buffer
	log := NewLogger(Options{Writer: &b, Console: true})
	log.Info().EmbedObject(Event("ready")).Msg("relay is ready")
	if s := b.String(); !strings.Contains(s, "relay is ready") || !strings.Contains(s, "event=ready") || strings.Contains(s, "\x1b") {
		t.Errorf("printed %q", s)
	}
}

func TestLoggerWithoutWriterIsSilent(t *testing.T) {
	log := NewLogger(Options{})
	log.Error().EmbedObject(Refused).Msg("nobody hears")
}

func TestKindsAreBounded(t *testing.T) {
	l := &lines{}
	minute := time.Unix(0, 0)
	for i := range maxKinds + 1 {
		if _, ok := l.admit(kind{0, fmt.Sprint(i)}, minute); !ok {
			t.Fatalf("kind %d was left out", i)
		}
	}
	if len(l.seen) != maxKinds {
		t.Errorf("%d kinds remembered, cap %d", len(l.seen), maxKinds)
	}
	if _, ok := l.admit(kind{0, fmt.Sprint(maxKinds)}, minute); !ok {
		t.Error("a kind beyond the cap was left out")
	}
}

func TestLoggerIsSafeForConcurrentUse(t *testing.T) {
	var mu sync.Mutex
	var b bytes.Buffer
	log := NewLogger(Options{Writer: writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	})})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				log.Info().EmbedObject(Took(time.Second)).Msg("same")
			}
		})
	}
	all.Wait()
	if n := strings.Count(b.String(), "\n"); n < 1 || n > 2 { // 2 when the minute turns
		t.Errorf("%d lines", n)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
