// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	randv2 "math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"chive/directory/genesis"
	dirsync "chive/directory/sync"
	"chive/internal/control"
	"chive/internal/node"
	"chive/link"
)

// relayKey makes this test binary a relay, as "chive relay run" is one. Its value is a
// relayProgram.
const relayKey = "CHIVE_TEST_RELAY"

// relayProgram is one relay in a process of its own.
type relayProgram struct {
	State, Genesis, Listen string
}

// runAsRelay returns the program's exit code.
func runAsRelay(spec string) int {
	var p relayProgram
	err := json.Unmarshal([]byte(spec), &p)
	if err == nil {
		err = node.RunRelay(context.Background(), node.RelayOptions{
			State: p.State, Genesis: p.Genesis, Listen: p.Listen, Control: node.ControlSocket{Path: filepath.Join(p.State, "control.sock")},
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// mortal is a relay that runs, and can be killed.
type mortal struct {
	relayProgram
	cmd *exec.Cmd
}

func (p *mortal) start(t *testing.T) {
	t.Helper()
	spec, err := json.Marshal(p.relayProgram)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), relayKey+"="+string(spec))
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill gives the process no time for anything.
func (p *mortal) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// status asks the process how it stands; nil: it does not answer now.
func (p *mortal) status(ctx context.Context) *control.Relay {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, _, err := control.Fetch(ctx, filepath.Join(p.State, "control.sock"))
	if err != nil || len(s.Relays) != 1 {
		return nil
	}
	return &s.Relays[0]
}

// headers asks the process for the headers of all epochs up to last: the digests it
// knows of.
func (p *mortal) headers(t *testing.T, nid [32]byte, last uint64) map[uint64][32]byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	l, err := link.Dial(ctx, link.TCP{}, netip.MustParseAddrPort(p.Listen), link.Config{NetworkID: nid, Rand: rand.Reader, HalfLife: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	st, err := l.Open(link.StreamDirectory)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	out := map[uint64][32]byte{}
	for epoch := uint64(1); epoch <= last; epoch++ {
		h, err := dirsync.FetchHeader(st, nid, epoch)
		if err != nil {
			continue // it does not know that far back
		}
		if h != nil {
			out[epoch] = h.Digest()
		}
	}
	return out
}

// killCount is how many processes are killed; KILLS says otherwise.
func killCount(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("KILLS"))
	if err != nil && os.Getenv("KILLS") != "" {
		t.Fatal("KILLS is no number")
	}
	if err != nil {
		return 200
	}
	return n
}

// TestKilledMembersNeverSignTwice kills members of a committee of seven real processes,
// one or two at a time and at any moment of an epoch, and starts them again from what is
// on their disks. No epoch has two snapshots, nobody signs twice, no state is torn, and
// snapshots go on.
func TestKilledMembersNeverSignTwice(t *testing.T) {
	if !soak {
		t.Skip("minutes of real time; -tags soak")
	}
	const members, mayBeDown = 7, 2
	kills := killCount(t)
	folder := t.TempDir()
	var all []*mortal
	document := filepath.Join(folder, "genesis.chive")
	var founders []*relayFolder
	for i := range members {
		ln, listen, err := reservePort()
		if err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
		f := &relayFolder{state: filepath.Join(folder, fmt.Sprint("r", i)), listen: listen}
		founders = append(founders, f)
		all = append(all, &mortal{relayProgram: relayProgram{State: f.state, Genesis: document, Listen: listen}})
	}
	if err := foundFolders("killed", founders, genesis.Testnet(), document); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(all[0].Genesis)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := genesis.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.start(t)
		defer p.kill()
	}

	const seed = 1
	random := randv2.New(randv2.NewPCG(seed, 0))
	down := map[int]time.Time{} // when it comes back
	began := time.Now()
	for killed := 0; killed < kills; {
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		for i, back := range down {
			if time.Now().After(back) {
				delete(down, i)
				all[i].start(t)
			}
		}
		i := random.IntN(members)
		if _, is := down[i]; is || len(down) >= mayBeDown {
			continue
		}
		all[i].kill()
		killed++
		down[i] = time.Now().Add(time.Duration(random.IntN(1000)) * time.Millisecond)
		if killed%20 == 0 {
			t.Logf("%d kills in %v, epoch %d", killed, time.Since(began).Round(time.Second), doc.EpochAt(time.Now()))
		}
	}
	for i := range down {
		all[i].start(t)
	}

	// All come to the same newest snapshot.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var last uint64
	for settled := false; !settled; {
		if ctx.Err() != nil {
			for i, p := range all {
				t.Logf("relay %d: %+v", i, p.status(t.Context()))
			}
			t.Fatal("the relays do not come together again")
		}
		time.Sleep(time.Second)
		settled, last = true, 0
		for _, p := range all {
			s := p.status(ctx)
			if s == nil || s.Directory.Epoch+2 < s.Directory.CurrentEpoch || !s.Running {
				settled = false
				break
			}
			last = max(last, s.Directory.Epoch)
		}
	}
	finals := map[uint64][32]byte{}
	for i, p := range all {
		for epoch, digest := range p.headers(t, doc.NetworkID(), last) {
			if known, ok := finals[epoch]; ok && known != digest {
				t.Errorf("epoch %d has two snapshots; relay %d holds the other", epoch, i)
			}
			finals[epoch] = digest
		}
		s := p.status(ctx)
		if len(s.Reports) > 0 || s.Store != "" || s.Keys != "" || s.Directory.Forked {
			t.Errorf("relay %d: %+v", i, s)
		}
		if torn, _ := filepath.Glob(filepath.Join(p.State, "relay", "*damaged*")); len(torn) > 0 {
			t.Errorf("relay %d: torn %v", i, torn)
		}
	}
	t.Logf("%d kills, %d epochs, %d of them with a snapshot", kills, last, len(finals))
	if len(finals)*2 < int(last) {
		t.Errorf("only %d of %d epochs have a snapshot", len(finals), last)
	}
}
