// SPDX-License-Identifier: BSD-3-Clause

package genesis

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory/record"
	"chive/internal/strictcbor"
)

func TestDocumentRoundTrip(t *testing.T) {
	for _, testnet := range []bool{false, true} {
		p := Preset(testnet)
		made, err := Plan{
			Name: "example-1", Testnet: testnet, Time: start().Add(time.Second), Params: &p, Founders: founders(t, 13),
			AsmapDigest: &[32]byte{1}, Predecessor: &Predecessor{NetworkID: [32]byte{2}, Header: [32]byte{3}},
		}.Document()
		if err != nil {
			t.Fatal(err)
		}
		b := signAll(t, made)
		got, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if got.NetworkID() != made.NetworkID() || got.Params != p || !got.Time.Equal(start()) || got.Name != "example-1" ||
			got.Testnet != testnet || *got.AsmapDigest != [32]byte{1} || *got.Predecessor != *made.Predecessor ||
			got.ParamsDigest() != made.ParamsDigest() || len(got.Founders) != 13 {
			t.Error("something was lost")
		}
		again, err := got.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("encodes otherwise: %v", err)
		}
		if findings := got.Lint(); len(findings) != 0 {
			t.Errorf("%v", findings)
		}
	}
}

func TestFoundersOrderDoesNotMatter(t *testing.T) {
	a, _ := signed(t, 10, true)
	reversed := founders(t, 10)
	slices.Reverse(reversed)
	b, err := New("example", reversed, true, start())
	if err != nil || a.NetworkID() != b.NetworkID() {
		t.Errorf("%v", err)
	}
}

func TestTruncationTrailingByteAndChangedBytes(t *testing.T) {
	_, b := signed(t, 3, true)
	for n := range b {
		if _, err := Parse(b[:n]); err == nil {
			t.Fatalf("cut to %d bytes: accepted", n)
		}
	}
	if _, err := Parse(append(bytes.Clone(b), 0)); !errors.Is(err, ErrDocument) {
		t.Errorf("trailing byte: %v", err)
	}
	for n := range b {
		changed := bytes.Clone(b)
		changed[n] ^= 0x10
		if _, err := Parse(changed); err == nil {
			t.Fatalf("byte %d changed: accepted", n)
		}
	}
}

// Spec: DIR-6.
func TestEveryFounderMustSign(t *testing.T) {
	d, err := New("example", founders(t, 3), true, start())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		b, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(b); !errors.Is(err, ErrUnsigned) {
			t.Errorf("%d signatures: %v", n, err)
		}
		if d, err = ParseDraft(b); err != nil || len(d.Missing()) != 3-n || !errors.Is(d.Verify(), ErrUnsigned) {
			t.Fatalf("draft with %d signatures: %v", n, err)
		}
		if err := d.Sign(signingKey("identity", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Verify(); err != nil {
		t.Error(err)
	}
	if err := d.Sign(signingKey("identity", 3)); !errors.Is(err, ErrNotFounder) {
		t.Errorf("a stranger: %v", err)
	}
	if err := d.Sign(nil); !errors.Is(err, ErrNotFounder) {
		t.Errorf("no key: %v", err)
	}
	d.signatures[1] = d.signatures[0]
	if err := d.Verify(); !errors.Is(err, ErrSignature) {
		t.Errorf("another's signature: %v", err)
	}
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseDraft(b); !errors.Is(err, ErrSignature) {
		t.Errorf("draft with another's signature: %v", err)
	}
	d.signatures = d.signatures[:2]
	if b, err = d.Encode(); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseDraft(b); !errors.Is(err, ErrDocument) {
		t.Errorf("fewer signatures than founders: %v", err)
	}
}

// withFiller returns a signed document whose file has exactly this size, by an
// addition under key 64.
func withFiller(t *testing.T, testnet bool, size int) []byte {
	t.Helper()
	d, b := signed(t, 13, testnet)
	var w wireDocument
	if _, err := strictcbor.Unmarshal(d.raw, len(d.raw), &w); err != nil {
		t.Fatal(err)
	}
	fill := size - len(b) - 2 - 5
	for {
		text := append([]byte{0xa1, 0x18, 0x40}, encoded(t, make([]byte, fill))...)
		var none struct{}
		extra, err := strictcbor.Unmarshal(text, len(text), &none)
		if err != nil {
			t.Fatal(err)
		}
		if d.raw, err = strictcbor.MarshalExtra(w, extra); err != nil {
			t.Fatal(err)
		}
		d.nid = networkID(d.raw)
		b = signAll(t, d)
		if len(b) == size {
			return b
		}
		fill += size - len(b)
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	b, err := strictcbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSizeBoundsAndAdditions(t *testing.T) {
	for _, test := range []struct {
		testnet bool
		size    int
		want    error
	}{
		{false, MaxSize, nil}, {false, MaxSize + 1, ErrTooLarge}, {true, MaxSize + 1, nil},
		{true, MaxTestnetSize, nil}, {true, MaxTestnetSize + 1, ErrTooLarge},
	} {
		b := withFiller(t, test.testnet, test.size)
		d, err := Parse(b)
		if !errors.Is(err, test.want) {
			t.Errorf("testnet %v, %d bytes: %v", test.testnet, test.size, err)
		}
		if err != nil {
			continue
		}
		// What was ignored is kept: the id stands for all bytes.
		if again, err := d.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("an addition was lost: %v", err)
		}
		plain, _ := signed(t, 13, test.testnet)
		if d.NetworkID() == plain.NetworkID() {
			t.Error("an addition does not count for the network id")
		}
	}
}

func TestPublicNetworkTooLargeIsNotMade(t *testing.T) {
	if _, err := New("example", founders(t, 150), true, start()); err != nil {
		t.Errorf("150 founders of a testnet: %v", err)
	}
	many := founders(t, 150)
	for n := range many {
		many[n].Roles, many[n].Policy = record.RoleExit, nil
		for i := range uint16(record.MaxPolicyCount) {
			many[n].Policy = append(many[n].Policy, record.PortRange{Protocol: record.TCP, First: 1 + 2*i, Last: 1 + 2*i})
		}
	}
	if _, err := New("example", many, false, start()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("150 founders with long policies: %v", err)
	}
}

// Spec: DIR-7.
func TestLint(t *testing.T) {
	type plan struct {
		count   int
		testnet bool
		change  func(p *Plan)
	}
	for name, test := range map[string]struct {
		plan
		bad  bool
		want string // within the first finding; empty: no findings
	}{
		"testnet of ten":       {plan{10, true, nil}, false, ""},
		"public of thirteen":   {plan{13, false, nil}, false, ""},
		"public of twelve":     {plan{12, false, nil}, false, "at least 13"},
		"public of seven":      {plan{7, false, nil}, false, "at least 13"},
		"public of six":        {plan{6, false, nil}, true, "at least 7"},
		"no founders":          {plan{0, true, nil}, true, "no founders"},
		"testnet of two":       {plan{2, true, nil}, false, "three relays"},
		"empty name":           {plan{3, true, func(p *Plan) { p.Name = "" }}, true, "name"},
		"longest name":         {plan{3, true, func(p *Plan) { p.Name = strings.Repeat("n", MaxNameSize) }}, false, ""},
		"too long a name":      {plan{3, true, func(p *Plan) { p.Name = strings.Repeat("n", MaxNameSize+1) }}, true, "name"},
		"name with a space":    {plan{3, true, func(p *Plan) { p.Name = "a b" }}, true, "name"},
		"name from a digit":    {plan{3, true, func(p *Plan) { p.Name = "1a" }}, true, "name"},
		"before 1970":          {plan{3, true, func(p *Plan) { p.Time = time.Unix(-3600, 0) }}, true, "genesis time"},
		"same founder twice":   {plan{3, true, func(p *Plan) { p.Founders = append(p.Founders, founder(t, 1)) }}, true, "onion key"},
		"same onion key":       {plan{3, true, func(p *Plan) { p.Founders[1].Onion = p.Founders[0].Onion }}, true, "onion key"},
		"same address":         {plan{3, true, func(p *Plan) { p.Founders[1].Addresses = p.Founders[0].Addresses }}, true, "address and port"},
		"no exits":             {plan{3, true, func(p *Plan) { p.Founders = p.Founders[1:3] }}, false, "three relays"},
		"a private address":    {plan{13, false, func(p *Plan) { p.Founders[5].Addresses = address("10.0.0.1:9240") }}, true, "strangers"},
		"private in a testnet": {plan{10, true, func(p *Plan) { p.Founders[5].Addresses = address("10.0.0.1:9240") }}, false, ""},
		"declares nothing":     {plan{13, false, func(p *Plan) { p.Founders[5].DeclaredRate = 0 }}, false, "no bandwidth"},
		"testnet parameters":   {plan{13, false, func(p *Plan) { q := Testnet(); p.Params = &q }}, true, "outside the bounds"},
		"public parameters":    {plan{10, true, func(p *Plan) { q := Public(); p.Params = &q }}, false, ""},
		"all in one network": {plan{13, false, func(p *Plan) {
			for i, f := range p.Founders {
				f.Addresses = address(fmt.Sprintf("20.7.%d.4:9240", i))
			}
		}}, true, "fewer than three networks"},
		"three at one address": {plan{13, false, func(p *Plan) {
			for i, f := range p.Founders[:3] {
				f.Addresses = address(fmt.Sprintf("20.7.1.4:%d", 9240+i))
			}
		}}, true, "shares its address"},
		"two at one address": {plan{13, false, func(p *Plan) {
			for i, f := range p.Founders[:2] { // and one is in their /20
				f.Addresses = address(fmt.Sprintf("20.7.1.4:%d", 9240+i))
			}
		}}, false, "no more than 11"},
		"two of fifteen at one address": {plan{15, false, func(p *Plan) {
			for i, f := range p.Founders[:2] {
				f.Addresses = address(fmt.Sprintf("20.7.1.4:%d", 9240+i))
			}
		}}, false, ""},
		"two of seven in one family": {plan{7, false, func(p *Plan) {
			family := public("family", 1)
			p.Founders[0].Family, p.Founders[1].Family = family[:], family[:]
		}}, true, "no more than 6"},
		"all of a testnet in one family": {plan{10, true, func(p *Plan) {
			family := public("family", 1)
			for _, f := range p.Founders {
				f.Family = family[:]
			}
		}}, false, ""},
		"eight in four /16": {plan{8, false, func(p *Plan) {
			for i, f := range p.Founders {
				f.Addresses = address(fmt.Sprintf("20.%d.%d.4:9240", 1+i/2, 32*i))
			}
		}}, false, "at least 13"},
		"nine in three /16": {plan{9, false, func(p *Plan) {
			for i, f := range p.Founders {
				f.Addresses = address(fmt.Sprintf("20.%d.%d.4:9240", 1+i/3, 16*i))
			}
		}}, true, "no more than 6"},
		"two of seven in one /20": {plan{7, false, func(p *Plan) {
			for i, f := range p.Founders[:2] {
				f.Addresses = address(fmt.Sprintf("20.7.%d.4:9240", 15*i))
			}
		}}, true, "no more than 6"},
		"two of seven in neighbouring /20": {plan{7, false, func(p *Plan) {
			for i, f := range p.Founders[:2] {
				f.Addresses = address(fmt.Sprintf("20.7.%d.4:9240", 16*i))
			}
		}}, false, "at least 13"},
		"three of eight in one /32": {plan{8, false, func(p *Plan) {
			for i, f := range p.Founders[:3] {
				f.Addresses = address(fmt.Sprintf("[2606:4700:%d::1]:9240", i+1))
			}
		}}, false, "has 8"},
		"five in one /24": {plan{13, false, func(p *Plan) {
			for i, f := range p.Founders[:5] {
				f.Addresses = address(fmt.Sprintf("20.7.1.%d:9240", i))
			}
		}}, true, "shares its address"},
		"nine in one /48": {plan{13, false, func(p *Plan) {
			for i, f := range p.Founders[:9] {
				f.Addresses = append(f.Addresses, address(fmt.Sprintf("[2606:4700:1::%d]:9240", i+1))...)
			}
		}}, true, "shares its address"},
		"eight in one /48": {plan{13, false, func(p *Plan) {
			for i, f := range p.Founders[:8] {
				f.Addresses = append(f.Addresses, address(fmt.Sprintf("[2606:4700:1::%d]:9240", i+1))...)
			}
		}}, false, ""},
	} {
		p := Plan{Name: "example", Testnet: test.testnet, Time: start(), Founders: founders(t, test.count)}
		if test.change != nil {
			test.change(&p)
		}
		d, err := p.Document()
		var refused *RefusedError
		if test.bad {
			if !errors.As(err, &refused) || !contains(refused.Findings, test.want) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		findings := d.Lint()
		if test.want == "" && len(findings) > 0 || test.want != "" && !contains(findings, test.want) {
			t.Errorf("%s: %v", name, findings)
		}
	}
}

func contains(findings []Finding, text string) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return strings.Contains(f.Text, text) })
}

func address(text string) []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort(text)} }

func TestParseAppliesTheRules(t *testing.T) {
	// A document that New would refuse, put together by hand.
	d, _ := signed(t, 13, true)
	d.Testnet = false
	if err := d.seal(); err != nil {
		t.Fatal(err)
	}
	var refused *RefusedError
	if _, err := Parse(signAll(t, d)); !errors.As(err, &refused) {
		t.Errorf("testnet parameters in a public network: %v", err)
	}
}

func TestDocumentForm(t *testing.T) {
	good, _ := signed(t, 3, true)
	for name, change := range map[string]func(w *wireDocument){
		"version 0":          func(w *wireDocument) { w.Version = 0 },
		"version 2":          func(w *wireDocument) { w.Version = 2 },
		"after 9999":         func(w *wireDocument) { w.Time = maxUnix + 1 },
		"short asmap digest": func(w *wireDocument) { w.Asmap = make([]byte, 31) },
		"short predecessor": func(w *wireDocument) {
			w.Predecessor = &wirePredecessor{NetworkID: make([]byte, 31), Header: make([]byte, 32)}
		},
		"founders out of order": func(w *wireDocument) { w.Founders[0], w.Founders[1] = w.Founders[1], w.Founders[0] },
		"founder twice":         func(w *wireDocument) { w.Founders[1] = w.Founders[0] },
		"founder cut":           func(w *wireDocument) { w.Founders[0] = w.Founders[0][1:] },
		"parameters cut":        func(w *wireDocument) { w.Params = strictcbor.Raw{0xa0} },
		"too many founders":     func(w *wireDocument) { w.Founders = make([][]byte, MaxFounders+1) },
	} {
		var w wireDocument
		if _, err := strictcbor.Unmarshal(good.raw, len(good.raw), &w); err != nil {
			t.Fatal(err)
		}
		change(&w)
		if _, err := decode(encoded(t, w)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEpochs(t *testing.T) {
	d, _ := signed(t, 3, true)
	for _, test := range []struct {
		after time.Duration
		want  uint64
	}{{-time.Hour, 0}, {0, 0}, {10*time.Second - 1, 0}, {10 * time.Second, 1}, {time.Hour, 360}} {
		if got := d.EpochAt(d.Time.Add(test.after)); got != test.want {
			t.Errorf("after %v: epoch %d", test.after, got)
		}
	}
	if got := d.EpochStart(360); !got.Equal(d.Time.Add(time.Hour)) {
		t.Errorf("epoch 360 starts %v", got)
	}
	if d.EpochStart(1<<64 - 1).Before(d.Time) {
		t.Error("the last epoch overflows")
	}
}

func TestDescribeNamesEveryParameterAndNoFounder(t *testing.T) {
	d, _ := signed(t, 10, true)
	var text strings.Builder
	noted := 0
	for _, l := range d.Describe() {
		fmt.Fprintln(&text, l.Name, l.Value, l.Note)
		if l.Note != "" {
			noted++
		}
	}
	if want := len(d.Params.Differences(Public())); noted != want {
		t.Errorf("%d differences noted, want %d", noted, want)
	}
	for _, f := range d.Founders {
		if strings.Contains(text.String(), hex.EncodeToString(f.Identity)) || strings.Contains(text.String(), f.Addresses[0].Addr().String()) {
			t.Error("a founder is named")
		}
	}
}

func TestDocumentVectors(t *testing.T) {
	d, b := signed(t, 3, true)
	params := d.ParamsDigest()
	golden(t, "document.txt", "A signed testnet document of three founders. Keys: SHA-256 of purpose and number as seed.\n"+
		"A changed line is a change of the protocol. Spec: directory §2.\n", [][2]string{
		{"file", hex.EncodeToString(b)},
		{"document", hex.EncodeToString(d.raw)},
		{"network_id", fmt.Sprintf("%x", d.NetworkID())},
		{"params_digest", fmt.Sprintf("%x", params)},
	})
}

func FuzzGenesis(f *testing.F) {
	for _, count := range []int{1, 3} {
		d, b := signed(f, count, true)
		f.Add(b)
		f.Add(d.raw)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if d, err := decode(data); err == nil {
			_ = d.Lint()
			_ = d.Describe()
		}
		d, err := ParseDraft(data)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %x: %v", data, again, err)
		}
		_ = d.EpochAt(d.EpochStart(1 << 63))
	})
}

// BenchmarkTestnet makes, signs, writes and reads a network of ten.
func BenchmarkTestnet(b *testing.B) {
	all := founders(b, 10)
	for b.Loop() {
		d, err := New("example", all, true, start())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Parse(signAll(b, d)); err != nil {
			b.Fatal(err)
		}
	}
}
