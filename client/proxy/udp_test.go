// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func listenUDP(addr netip.Addr) (net.PacketConn, error) {
	return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
}

// packets is an exit's side of an association: what is sent comes back from
// where it was sent to.
type packets struct {
	iso  Isolation
	t    Target
	back chan datagram
	stop chan struct{}
	once sync.Once
	fail func(Target) error
	only uint16 // permits this port and no other; 0: all
}

func newPackets(iso Isolation, t Target) *packets {
	return &packets{iso: iso, t: t, back: make(chan datagram, 256), stop: make(chan struct{})}
}

func (p *packets) ReadFrom(b []byte) (int, Target, error) {
	select {
	case d := <-p.back:
		return copy(b, d.payload), d.t, nil
	case <-p.stop:
		return 0, Target{}, net.ErrClosed
	}
}

func (p *packets) WriteTo(b []byte, t Target) error {
	if p.fail != nil {
		if err := p.fail(t); err != nil {
			return err
		}
	}
	p.back <- datagram{payload: bytes.Clone(b), t: t}
	return nil
}

func (p *packets) Close() error            { p.once.Do(func() { close(p.stop) }); return nil }
func (p *packets) Permits(t Target) bool   { return p.only == 0 || p.only == t.Port }
func (p *packets) closed() <-chan struct{} { return p.stop }

// relay is a program's UDP side.
type relay struct {
	*net.UDPConn
	t    testing.TB
	tcp  program
	addr netip.AddrPort
}

func associate(t *testing.T, addr string, announced int) relay {
	t.Helper()
	p := open(t, addr)
	p.send(cat(5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, announced>>8, announced))
	head := make([]byte, 2+4+4+2)
	if _, err := io.ReadFull(p, head); err != nil || !bytes.Equal(head[:6], []byte{5, 0, 5, 0, 0, 1}) {
		t.Fatalf("% x %v", head, err)
	}
	bound := netip.AddrPortFrom(netip.AddrFrom4([4]byte(head[6:10])), uint16(head[10])<<8|uint16(head[11]))
	if bound.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("bound on %v", bound.Addr())
	}
	return relay{UDPConn: udpSocket(t, "127.0.0.1"), t: t, tcp: p, addr: bound}
}

func udpSocket(t *testing.T, ip string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c
}

func (r relay) send(b []byte) {
	r.t.Helper()
	if _, err := r.WriteToUDPAddrPort(b, r.addr); err != nil {
		r.t.Fatal(err)
	}
}

func (r relay) expect(want []byte) {
	r.t.Helper()
	b := make([]byte, 4096)
	n, from, err := r.ReadFromUDPAddrPort(b)
	if err != nil || !bytes.Equal(b[:n], want) || from != r.addr {
		r.t.Fatalf("got % x from %v (%v), want % x", b[:n], from == r.addr, err, want)
	}
}

func nameDatagram(name string, port int, payload ...any) []byte {
	return cat(0, 0, 0, 3, len(name), name, port>>8, port, cat(payload...))
}

// opened serves OpenUDP and keeps what it opened.
type opened struct {
	mu  sync.Mutex
	all []*packets
	set func(p *packets)
	err error
}

func (o *opened) open(iso Isolation, t Target) (PacketConn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := newPackets(iso, t)
	if o.set != nil {
		o.set(p)
	}
	o.all = append(o.all, p)
	if o.err != nil {
		return nil, o.err
	}
	return p, nil
}

func (o *opened) list() []*packets {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*packets(nil), o.all...)
}

func startUDP(t *testing.T, o *opened, cfg Config) (*Server, string) {
	f := newFar(t, echo)
	f.openUDP = o.open
	cfg.Dialer, cfg.ListenPacket, cfg.Name = f, listenUDP, "main"
	return start(t, cfg)
}

// TestDatagramsPassBothWays is UDP-1 and UDP-2.
func TestDatagramsPassBothWays(t *testing.T) {
	o := &opened{}
	s, addr := startUDP(t, o, Config{})
	r := associate(t, addr, 0)
	r.send(nameDatagram("Example.com.", 443, "one"))
	r.expect(nameDatagram("example.com", 443, "one")) // a name comes back as it went
	r.send(cat(0, 0, 0, 1, 203, 0, 113, 5, 1, 0xBB, "two"))
	r.expect(cat(0, 0, 0, 1, 203, 0, 113, 5, 1, 0xBB, "two"))
	r.send(cat(0, 0, 0, 4, 0x20, 1, 0xd, 0xb8, make([]byte, 11), 1, 1, 0xBB, "six"))
	r.expect(cat(0, 0, 0, 4, 0x20, 1, 0xd, 0xb8, make([]byte, 11), 1, 1, 0xBB, "six"))
	r.send(nameDatagram("a.test", 9)) // empty payloads are datagrams too
	r.expect(nameDatagram("a.test", 9))
	big := pattern(MaxDatagram)
	r.send(nameDatagram("a.test", 9, big))
	r.expect(nameDatagram("a.test", 9, big))
	legs := o.list()
	if len(legs) != 1 || legs[0].t != (Target{"example.com", 443}) || legs[0].iso != isolationKey("main", "127.0.0.1", credentials{}) {
		t.Errorf("%d legs", len(legs))
	}
	if s.Counts().DatagramsDropped != 0 {
		t.Error("dropped")
	}
}

func TestBadDatagramsAreDropped(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		o := &opened{}
		s, addr := startUDP(t, o, Config{Options: Options{RefuseIP: refuse}})
		r := associate(t, addr, 0)
		bad := [][]byte{
			nil, {0, 0, 0}, {0, 0, 0, 3}, {0, 0, 0, 9, 1, 1},
			cat(0, 0, 1, 1, 203, 0, 113, 5, 0, 80, "fragment"),
			cat(0, 0, 0x80, 1, 203, 0, 113, 5, 0, 80, "last fragment"),
			nameDatagram("a.test", 0, "port 0"), nameDatagram("a..test", 1, "name"), nameDatagram("a.onion", 1, "onion"),
			cat(0, 0, 0, 1, 127, 0, 0, 1, 0, 80, "private"),
			nameDatagram("a.test", 9, pattern(MaxDatagram+1)),
		}
		if refuse {
			bad = append(bad, cat(0, 0, 0, 1, 203, 0, 113, 5, 0, 80, "bare"))
		}
		for _, b := range bad {
			r.send(b)
		}
		r.send(nameDatagram("a.test", 9, "good"))
		r.expect(nameDatagram("a.test", 9, "good"))
		if n := s.Counts().DatagramsDropped; n != uint64(len(bad)) {
			t.Errorf("%d of %d dropped", n, len(bad))
		}
	}
}

// TestOnlyTheFirstSourceIsServed: another port of the client, and another
// address, neither get in nor get answers (UDP-1).
func TestOnlyTheFirstSourceIsServed(t *testing.T) {
	o := &opened{}
	s, addr := startUDP(t, o, Config{})
	r := associate(t, addr, 0)
	// Before the first datagram
	udpSocket(t, "127.0.0.2").WriteToUDPAddrPort(nameDatagram("a.test", 9, "stolen"), r.addr)
	for end := time.Now().Add(patience); s.Counts().DatagramsDropped < 1; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("not dropped")
		}
	}
	r.send(nameDatagram("a.test", 9, "mine"))
	r.expect(nameDatagram("a.test", 9, "mine"))
	for _, ip := range []string{"127.0.0.1", "127.0.0.2"} { // and after
		udpSocket(t, ip).WriteToUDPAddrPort(nameDatagram("a.test", 9, "stolen"), r.addr)
	}
	r.send(nameDatagram("a.test", 9, "again"))
	r.expect(nameDatagram("a.test", 9, "again"))
	if n := s.Counts().DatagramsDropped; n != 3 {
		t.Errorf("%d dropped", n)
	}
}

func TestAnnouncedPortIsTheOnlyOne(t *testing.T) {
	o := &opened{}
	s, addr := startUDP(t, o, Config{})
	mine := udpSocket(t, "127.0.0.1")
	r := associate(t, addr, mine.LocalAddr().(*net.UDPAddr).Port)
	r.send(nameDatagram("a.test", 9, "another port, first")) // associate's own socket
	r.UDPConn = mine
	r.send(nameDatagram("a.test", 9, "mine"))
	r.expect(nameDatagram("a.test", 9, "mine"))
	if n := s.Counts().DatagramsDropped; n != 1 {
		t.Errorf("%d dropped", n)
	}
}

// TestAssociationEndsWithItsConnection is UDP-1.
func TestAssociationEndsWithItsConnection(t *testing.T) {
	o := &opened{}
	s, addr := startUDP(t, o, Config{})
	r := associate(t, addr, 0)
	r.send(nameDatagram("a.test", 9, "x"))
	r.expect(nameDatagram("a.test", 9, "x"))
	r.tcp.send([]byte("means nothing"))
	r.send(nameDatagram("a.test", 9, "y"))
	r.expect(nameDatagram("a.test", 9, "y"))
	r.tcp.Close()
	<-o.list()[0].closed()
	for end := time.Now().Add(patience); len(s.gate.places) > 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("association left open")
		}
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(r.addr)) // the port is free again
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestSilentAssociationEnds(t *testing.T) {
	t.Parallel()
	o := &opened{}
	_, addr := startUDP(t, o, Config{Limits: Limits{UDPIdle: 150 * time.Millisecond}})
	r := associate(t, addr, 0)
	began := time.Now()
	for range 4 { // traffic keeps it, though the connection is silent
		<-time.After(50 * time.Millisecond)
		r.send(nameDatagram("a.test", 9, "x"))
		r.expect(nameDatagram("a.test", 9, "x"))
	}
	if b := r.tcp.rest(); len(b) > 0 || time.Since(began) < 300*time.Millisecond {
		t.Errorf("ended after %v", time.Since(began))
	}
	<-o.list()[0].closed()
}

// TestPort53HasItsOwnLeg: UDP-5's hook.
func TestPort53HasItsOwnLeg(t *testing.T) {
	o := &opened{}
	_, addr := startUDP(t, o, Config{})
	r := associate(t, addr, 0)
	for _, port := range []int{443, 53, 123, 53, 443} {
		r.send(nameDatagram("a.test", port, "q"))
		r.expect(nameDatagram("a.test", port, "q"))
	}
	legs := o.list()
	if len(legs) != 2 || legs[0].t.Port != 443 || legs[1].t.Port != 53 {
		t.Errorf("%d legs", len(legs))
	}
}

// TestExitsThatPermitOtherPortsAreUsed: UDP-2, at the cap of legs and beyond.
func TestExitsThatPermitOtherPortsAreUsed(t *testing.T) {
	o := &opened{set: func(p *packets) { p.only = p.t.Port }}
	_, addr := startUDP(t, o, Config{})
	r := associate(t, addr, 0)
	for round := range 2 {
		for i := range maxLegs {
			r.send(nameDatagram("a.test", 1000+i, "q"))
			r.expect(nameDatagram("a.test", 1000+i, "q"))
		}
		if n := len(o.list()); n != maxLegs {
			t.Errorf("round %d: %d legs", round, n)
		}
	}
	r.send(nameDatagram("a.test", 2000, "q"))
	r.expect(nameDatagram("a.test", 2000, "q"))
	<-o.list()[0].closed() // the least lately used
	select {
	case <-o.list()[1].closed():
		t.Error("one too many closed")
	default:
	}
}

func TestRefusedDatagramDoesNotEndTheLeg(t *testing.T) {
	t.Parallel()
	o := &opened{set: func(p *packets) {
		p.fail = func(t Target) error {
			switch t.Host {
			case "refused.test":
				return refusal(reasonExitPolicy)
			case "broken.test":
				return errors.New("circuit gone")
			}
			return nil
		}
	}}
	s, addr := startUDP(t, o, Config{})
	r := associate(t, addr, 0)
	r.send(nameDatagram("refused.test", 9, "x"))
	r.send(nameDatagram("a.test", 9, "x"))
	r.expect(nameDatagram("a.test", 9, "x"))
	if len(o.list()) != 1 {
		t.Error("reopened")
	}
	r.send(nameDatagram("broken.test", 9, "x"))
	<-o.list()[0].closed()
	if s.Counts().DatagramsDropped != 2 {
		t.Errorf("%d dropped", s.Counts().DatagramsDropped)
	}
	for tries := 0; ; tries++ { // another is opened, at most once a second
		r.send(nameDatagram("a.test", 9, "y"))
		r.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := r.Read(make([]byte, 64)); err == nil {
			break
		} else if tries > 100 {
			t.Fatal(err)
		}
	}
	if len(o.list()) != 2 {
		t.Errorf("%d legs", len(o.list()))
	}
}

// TestExitThatCannotBeHadIsNotAskedForEachDatagram: one try a second.
func TestExitThatCannotBeHadIsNotAskedForEachDatagram(t *testing.T) {
	o := &opened{err: refusal(reasonExitPolicy)}
	s, addr := startUDP(t, o, Config{})
	r := associate(t, addr, 0)
	for i := range 50 {
		r.send(nameDatagram("a.test", 9, strconv.Itoa(i)))
	}
	for end := time.Now().Add(patience); s.Counts().DatagramsDropped < 50; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d dropped", s.Counts().DatagramsDropped)
		}
	}
	if n := len(o.list()); n > 5 {
		t.Errorf("%d tries", n)
	}
}

// TestUDPSocketElsewhereIsRefused: the bound address is the connection's (UDP-1).
func TestUDPSocketElsewhereIsRefused(t *testing.T) {
	for name, listen := range map[string]func(netip.Addr) (net.PacketConn, error){
		"all interfaces": func(netip.Addr) (net.PacketConn, error) { return listenUDP(netip.IPv4Unspecified()) },
		"none":           func(netip.Addr) (net.PacketConn, error) { return nil, errors.New("no socket") },
	} {
		_, addr := start(t, Config{Dialer: newFar(t, echo), ListenPacket: listen})
		p := open(t, addr)
		p.send(cat(5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0))
		if b := p.rest(); len(b) != 12 || b[3] != 3 {
			t.Errorf("%s: % x", name, b)
		}
	}
}

// TestQueueDropsTheOldest is UDP-3.
func TestQueueDropsTheOldest(t *testing.T) {
	q := newQueue()
	now := time.Now()
	for i := range queueLength {
		if n := q.put(datagram{payload: []byte{byte(i)}, at: now}); n != 0 {
			t.Fatalf("dropped below the cap at %d", i)
		}
	}
	if n := q.put(datagram{payload: []byte{queueLength}, at: now}); n != 1 {
		t.Errorf("%d dropped beyond the cap", n)
	}
	for i := range queueLength {
		d, _, ok := q.take()
		if !ok || d.payload[0] != byte(i+1) {
			t.Fatalf("datagram %d: %d", i, d.payload[0])
		}
	}
}

func TestQueueDropsTheStale(t *testing.T) {
	q := newQueue()
	now := time.Now()
	q.put(datagram{payload: []byte("older"), at: now.Add(-queueAge - time.Second)})
	if n := q.put(datagram{payload: []byte("old"), at: now.Add(-queueAge)}); n != 0 {
		t.Errorf("%d", n) // by the clock of the second, the first is a second old
	}
	if n := q.put(datagram{payload: []byte("new"), at: now}); n != 1 {
		t.Errorf("%d stale ones dropped", n)
	}
	d, n, ok := q.take()
	if !ok || string(d.payload) != "new" || n != 1 {
		t.Errorf("%q %d", d.payload, n)
	}
}

func TestQueueWakesAndCloses(t *testing.T) {
	q := newQueue()
	got := make(chan bool)
	go func() {
		for {
			_, _, ok := q.take()
			got <- ok
			if !ok {
				return
			}
		}
	}()
	q.put(datagram{at: time.Now()})
	if !<-got {
		t.Error("not woken")
	}
	q.close()
	if <-got {
		t.Error("open")
	}
	if q.put(datagram{at: time.Now()}) != 1 {
		t.Error("taken after close")
	}
}

// TestDatagramsThatAreTooLargeAreTold (UDP-2, product §4.6): they vanish, and the user can ask
// why; the largest one passes.
func TestDatagramsThatAreTooLargeAreTold(t *testing.T) {
	refused := make(chan Refused, 8)
	s, addr := startUDP(t, &opened{}, Config{Refused: func(r Refused) { refused <- r }})
	r := associate(t, addr, 0)
	for _, size := range []int{MaxDatagram + 1, 2000, 8000} {
		r.send(nameDatagram("a.test", 9, pattern(size)))
	}
	r.send(nameDatagram("a.test", 9, pattern(MaxDatagram)))
	r.expect(nameDatagram("a.test", 9, pattern(MaxDatagram)))
	if n := s.Counts().DatagramsTooLarge; n != 3 || s.Counts().DatagramsDropped != 3 {
		t.Errorf("%d are counted", n)
	}
	if len(refused) != 1 { // of one kind in a row
		t.Fatalf("%d are told", len(refused))
	}
	if r := <-refused; r.Kind != RefusedUDP || r.Target != "a.test:9" || r.Reason != reasonBadRequest || !strings.Contains(r.Text, "too large") || !strings.Contains(r.Text, "1,770 bytes") || r.Fix == "" {
		t.Errorf("%+v", r)
	}
}
