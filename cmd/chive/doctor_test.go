// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/internal/control"
	"chive/internal/node"
)

// codes are what findings say, without their words.
func codes(found []finding) (out []string) {
	for _, f := range found {
		out = append(out, f.Level+" "+f.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Spec: product CLI-11.
func TestDoctorJudgesProxyVariables(t *testing.T) {
	good := []string{}
	for _, v := range proxyVariables("127.0.0.1:9250") {
		good = append(good, v.name+"="+v.value)
	}
	with := func(more ...string) []string { return append(slices.Clone(good), more...) }
	for _, row := range []struct {
		name string
		env  []string
		want string
	}{
		{"chive env", good, "ok proxied"},
		{"nothing", []string{"PATH=/bin", "http_proxy="}, "warning no_variables"},
		{"names looked up here", with("all_proxy=socks5://127.0.0.1:9250"), "fault proxy_local_names"},
		{"another proxy", with("HTTP_PROXY=http://192.0.2.1:3128"), "warning proxy_elsewhere"},
		{"no address", with("HTTPS_PROXY=9250"), "fault proxy_unclear"},
		{"a host that goes around", with("no_proxy=localhost, example.com"), "fault no_proxy_open"},
		{"all go around", with("NO_PROXY=*"), "fault no_proxy_open"},
		{"one variable of six", []string{"ALL_PROXY=socks5h://127.0.0.1:9250"}, "warning variable_missing"},
	} {
		if got := strings.Join(codes(judgeVariables(row.env, []string{"127.0.0.1:9250"})), ", "); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

// TestDoctorJudgesListeners: a name is no reason to warn; bare addresses are, with what to do.
func TestDoctorJudgesListeners(t *testing.T) {
	l := control.Listener{Kind: "socks", Address: "127.0.0.1:9251", Text: "Listener work."}
	if f := judgeListener("proxy", l); f.Level != levelOK || f.Code != "socks" || f.Fix != "" || !strings.Contains(f.Text, "Listener work.") {
		t.Errorf("%+v", f)
	}
	l.BareAddresses, l.Text = 1, "A program asked here for a bare address."
	if f := judgeListener("proxy", l); f.Level != levelWarning || f.Code != "socks_note" || !strings.Contains(f.Fix, "socks5h://") || !strings.Contains(f.Text, l.Text) || strings.Contains(f.Fix, "docs/") {
		t.Errorf("%+v", f)
	}
}

// Spec: product CLI-11.
func TestDoctorJudgesNameServers(t *testing.T) {
	ours := []string{"127.0.0.1:53"}
	for _, row := range []struct {
		conf  string
		known bool
		want  string
	}{
		{"", false, "warning system_resolver"},
		{"# none\nsearch example.com\n", true, "ok no_resolver"},
		{"nameserver 192.0.2.1\n", true, "warning system_resolver"},
		{"nameserver 127.0.0.53\n", true, "warning system_resolver"},
		{"nameserver 127.0.0.1\n", true, "ok own_resolver"},
		{"nameserver 127.0.0.1\nnameserver 192.0.2.1\n", true, "fault mixed_resolvers"},
	} {
		if got := codes([]finding{judgeNames(row.conf, row.known, ours)}); got[0] != row.want {
			t.Errorf("%q: %s, want %s", row.conf, got, row.want)
		}
	}
}

// Spec: product CLI-11.
func TestDoctorTellsLinksFromOtherConnections(t *testing.T) {
	end := func(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }
	relay, local := end("203.0.113.5:9240"), end("192.0.2.7:40000")
	known := map[netip.AddrPort]bool{relay: true}
	for _, row := range []struct {
		name           string
		socket         kernelSocket
		listens        []uint16
		links, strange int
	}{
		{"a link", kernelSocket{local: local, remote: relay}, nil, 1, 0},
		{"a datagram to a relay", kernelSocket{udp: true, local: local, remote: relay}, nil, 0, 1},
		{"a name server", kernelSocket{udp: true, local: local, remote: end("198.51.100.1:53")}, nil, 0, 1},
		{"a stranger", kernelSocket{local: local, remote: end("198.51.100.1:443")}, nil, 0, 1},
		{"a program of this machine", kernelSocket{local: end("127.0.0.1:9250"), remote: end("127.0.0.1:40000")}, nil, 0, 0},
		{"a listener", kernelSocket{local: end("127.0.0.1:9250"), remote: end("0.0.0.0:0")}, nil, 0, 0},
		{"who connects to our relay", kernelSocket{local: end("192.0.2.7:9240"), remote: end("198.51.100.1:5")}, []uint16{9240}, 1, 0},
		{"a relay's router", kernelSocket{udp: true, local: local, remote: end("192.168.1.1:5351")}, []uint16{9240}, 0, 0},
		{"a client's router", kernelSocket{udp: true, local: local, remote: end("192.168.1.1:5351")}, nil, 0, 1},
	} {
		if links, strange := judgeSockets([]kernelSocket{row.socket}, known, row.listens); links != row.links || strange != row.strange {
			t.Errorf("%s: %d links, %d strange", row.name, links, strange)
		}
	}
}

// TestDoctorKnowsTheProxyOnTheWay: by its address, or by its port where it is named; a link
// that goes past it is strange.
func TestDoctorKnowsTheProxyOnTheWay(t *testing.T) {
	to := func(remote string) kernelSocket {
		return kernelSocket{local: netip.MustParseAddrPort("192.0.2.9:40000"), remote: netip.MustParseAddrPort(remote)}
	}
	for _, row := range []struct {
		upstream, remote string
		links, strange   int
	}{
		{"http://u:p@203.0.113.1:3128", "203.0.113.1:3128", 1, 0},
		{"socks5://[2001:db8::1]:1080", "[2001:db8::1]:1080", 1, 0},
		{"http://203.0.113.1:3128", "203.0.113.2:3128", 0, 1},
		{"http://203.0.113.1:3128", "203.0.113.1:443", 0, 1},
		{"http://proxy.example.net:3128", "203.0.113.7:3128", 1, 0},
		{"http://proxy.example.net:3128", "203.0.113.7:9240", 0, 1},
		{"http://127.0.0.1:3128", "127.0.0.1:3128", 0, 0},
		{"", "203.0.113.1:3128", 0, 1},
	} {
		all, known := []kernelSocket{to(row.remote)}, map[netip.AddrPort]bool{}
		addProxy(known, row.upstream, all)
		if links, strange := judgeSockets(all, known, nil); links != row.links || strange != row.strange {
			t.Errorf("%q, %s: %d links, %d strange", row.upstream, row.remote, links, strange)
		}
	}
}

// TestDoctorProvesNothingByNoConnection (product CLI-11).
func TestDoctorProvesNothingByNoConnection(t *testing.T) {
	for links, want := range map[int]string{0: "warning no_links", 1: "ok links_only"} {
		for _, proxied := range []bool{false, true} {
			d := &doctor{}
			d.sayLinks(links, proxied)
			if got := codes(d.found); !slices.Equal(got, []string{want}) {
				t.Errorf("%d links: %v", links, got)
			}
		}
	}
}

func TestDoctorReadsTheKernelsTables(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the table below is a little-endian machine's")
	}
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2422 0A00000A:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000
   1: 0000000000000000FFFF00000100007F:0035 B80D0120000000000000000001000000:0050 01 00000000:00000000 00:00000000 00000000  0 0 4712 1
 bad line
`
	got := parseSockets(table, false)
	want := []kernelSocket{
		{false, netip.MustParseAddrPort("127.0.0.1:9250"), netip.MustParseAddrPort("10.0.0.10:443"), "4711"},
		{false, netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[2001:db8::1]:80"), "4712"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestDoctorNamesWhatHoldsTheClientUp (CLI-11, CLI-7): a cause is a fault, with the fix that
// the daemon knows; without one there is nothing to mend yet.
func TestDoctorNamesWhatHoldsTheClientUp(t *testing.T) {
	for _, row := range []struct {
		client      control.Client
		level, code string
		fix         string
	}{
		{control.Client{State: "cold", Tag: "connecting"}, "warning", "starting", "Wait, and ask again; after 20 s of standstill it says the cause."},
		{control.Client{State: "cold", Tag: "connecting", Cause: "no_route", Text: "the proxy is silent", Fix: "check the proxy"}, "fault", "no_route", "Check the proxy."},
		{control.Client{State: "cold", Tag: "connecting", Cause: "no_peers", Text: "none answers"}, "fault", "no_peers", causeFix("no_peers", "")},
		{control.Client{State: "down", Percent: 100, Tag: "done", Cause: "refused", Text: "no circuit can be made", Fix: "ask"}, "fault", "refused", "Ask."},
		{control.Client{State: "ready", Cause: "disk", Text: "Cannot be written", Fix: "make room"}, "fault", "disk", "Make room."},
	} {
		d := &doctor{status: &control.Status{Client: &row.client}}
		d.checkNetwork(t.Context(), time.Now())
		f := d.found[0]
		if row.code == "disk" {
			f = d.found[1] // behind that it is connected
		}
		if f.Level != row.level || f.Code != row.code || f.Fix != row.fix || !strings.Contains(f.Text, row.client.Text) {
			t.Errorf("%+v", f)
		}
	}
}

// TestDoctorBlamesTheClockForTheList (CLI-11): where it is wrong, what it makes of the list
// is no fault of others.
func TestDoctorBlamesTheClockForTheList(t *testing.T) {
	for _, clock := range []string{"", "this clock is 40 min slow. Set the clock."} {
		notes := []control.Note{{Level: control.LevelWarning, Code: "stalled", Text: "No new list."}}
		d := &doctor{status: &control.Status{Client: &control.Client{State: "stale", Clock: clock, Directory: control.Directory{Notes: notes}}}}
		d.checkClock(node.Examined{}, time.Now())
		d.checkNetwork(t.Context(), time.Now())
		i := slices.IndexFunc(d.found, func(f finding) bool { return f.Check == "directory" })
		if i < 0 {
			t.Fatalf("%+v", d.found)
		}
		if fix := d.found[i].Fix; (clock != "") != strings.Contains(fix, setClock) || (clock == "") != strings.Contains(fix, "nothing on this machine") {
			t.Errorf("clock %q: %s", clock, fix)
		}
	}
}

// TestDoctorSeesThatANewcomerFollowsNothing (CLI-11): its list is old, though its status has
// no note of it, and nobody has said what time it is.
func TestDoctorSeesThatANewcomerFollowsNothing(t *testing.T) {
	list := control.Directory{Stalled: true, Epoch: 1, CurrentEpoch: 404, Freshness: "The newest list is 403 epochs old: clients refuse it."}
	for old, want := range map[bool][]string{true: {"clock ok unknown", "directory warning stalled"}, false: {"clock ok good", "directory ok fresh"}} {
		list.Stalled = old
		d := &doctor{status: &control.Status{Relays: []control.Relay{{Joining: "it asks others", Directory: list}}}}
		d.checkClock(node.Examined{}, time.Now())
		d.checkNetwork(t.Context(), time.Now())
		var got []string
		for _, f := range d.found {
			if f.Check == "clock" || f.Check == "directory" {
				got = append(got, fmt.Sprint(f.Check, " ", f.Level, " ", f.Code))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("stalled %v: %v, want %v", old, got, want)
		}
	}
}

// TestDoctorSeesTheDocumentOfAnotherNetwork (CLI-11): a start refuses it.
func TestDoctorSeesTheDocumentOfAnotherNetwork(t *testing.T) {
	doc, states := foundTestnet(t)
	other, _ := foundTestnet(t)
	for _, c := range []struct {
		doc  string
		code int
		want string
	}{{doc, 0, "ok       state         Its relay is one of the network"}, {other, 4, "fault    state         Its relay is one of the network"}} {
		got := runConfig(t, "", nil, "doctor", "--offline", "--state", states[0], "--genesis", c.doc)
		if !strings.Contains(got.out, c.want) || (got.code == 4) != (c.code == 4) {
			t.Errorf("code %d:\n%s", got.code, got.out)
		}
	}
}

// TestDoctorSeesThatARelayRests (CLI-11): its port is closed, and nothing is to be repaired.
func TestDoctorSeesThatARelayRests(t *testing.T) {
	r := control.Relay{Listen: "127.0.0.1:1", Listed: true, Quota: &control.Quota{UsedUp: true, Text: "The quota is used up.", Ends: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}}
	r.Directory = control.Directory{Running: 4, CurrentEpoch: 9, Epoch: 8, Committee: control.Committee{Quorum: 3, Seats: make([]control.Seat, 4)}}
	d := &doctor{app: &app{}, status: &control.Status{Relays: []control.Relay{r}}}
	d.checkRelays()
	d.checkPorts(t.Context())
	if len(d.found) != 1 || d.found[0].Code != "rests" || d.found[0].Level != levelWarning || !strings.Contains(d.found[0].Fix, "2026-12-01 00:00:00 UTC") {
		t.Errorf("%+v", d.found)
	}
}

// TestDoctorWarnsOfNoExit (CLI-11): a client that is connected and finds no exit is not well, and
// what to do is to wait for one.
func TestDoctorWarnsOfNoExit(t *testing.T) {
	notes := []control.Note{{Level: control.LevelWarning, Code: "no_exit", Text: "No exit runs."}}
	d := &doctor{status: &control.Status{Client: &control.Client{State: "ready", Directory: control.Directory{Notes: notes}}}}
	d.checkNetwork(t.Context(), time.Now())
	i := slices.IndexFunc(d.found, func(f finding) bool { return f.Check == "directory" })
	if i < 0 || d.found[i].Level != levelWarning || d.found[i].Code != "no_exit" || !strings.Contains(d.found[i].Fix, "until an exit runs again") {
		t.Errorf("%+v", d.found)
	}
}

// TestDoctorLeakThatCouldNotBeTestedIsNoFault (CLI-11): exits that do not permit the probe,
// or a network without its name, leak nothing.
func TestDoctorLeakThatCouldNotBeTestedIsNoFault(t *testing.T) {
	for _, row := range []struct {
		code byte // of SOCKS5, for what is asked; 0xFF: the proxy hangs up
		says []string
		fix  string
	}{
		{2, []string{"the name hello.test could not be looked up", "no page could be fetched from hello.test, port 80,"}, "Nothing has leaked"},
		{4, []string{"the name hello.test could not be looked up", "no page could be fetched from hello.test, port 80,"}, "Nothing has leaked"},
		{0xFF, []string{"hung up or did not answer"}, "Look whether the client still runs"},
	} {
		d := &doctor{app: &app{out: new(bytes.Buffer), err: new(bytes.Buffer), global: global{control: "unix:" + t.TempDir() + "/none.sock"}}}
		d.tryLeak(t.Context(), proxyPlace{network: "tcp", address: refusingProxy(t, row.code)}, testnetName)
		said := ""
		for _, f := range d.found {
			if f.Level != levelWarning || f.Code != "not_tested" || !strings.HasPrefix(f.Text, "Not tested, because ") || !strings.Contains(f.Fix, row.fix) {
				t.Errorf("code %d: %+v", row.code, f)
			}
			said += f.Text
		}
		for _, want := range row.says {
			if !strings.Contains(said, want) {
				t.Errorf("code %d: %q lacks %q", row.code, said, want)
			}
		}
		if len(d.found) != 2 || d.report() != nil {
			t.Errorf("code %d: %+v", row.code, d.found)
		}
	}
}

// refusingProxy takes every user and refuses everything with a code of SOCKS5.
func refusingProxy(t *testing.T, code byte) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if code == 0xFF {
				_ = c.Close()
				continue
			}
			go func() {
				defer c.Close()
				in := make([]byte, 512)
				for _, answer := range [][]byte{{5, 2}, {1, 0}, {5, code, 0, 1, 0, 0, 0, 0, 0, 0}} {
					if _, err := c.Read(in); err != nil {
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}
