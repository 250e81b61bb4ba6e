// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"maps"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
)

// FuzzMachine feeds a machine whatever peers may send, whenever they may. It must keep
// to its caps, and never ask to be woken in the past.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10})
	f.Add([]byte{20, 0, 40, 0, 60, 0, 21, 5, 41, 6, 61, 7, 22, 8, 250, 9, 251, 10, 252, 255})
	all := frames()
	names := slices.Sorted(maps.Keys(all))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLab(t, 30, genesis.Testnet())
		var fars []*far
		for n := 1; n < 12; n++ {
			fars = append(fars, l.up(ridOf(3*n), n%2 == 0))
		}
		for len(data) >= 2 {
			op, arg := data[0], data[1]
			data = data[2:]
			x := fars[int(arg)%len(fars)]
			switch {
			case op < 40:
				d, b := l.data(classes[int(arg)%classCount], int(op))
				l.store.add(classes[int(arg)%classCount], d, b)
				l.step(Announce{classes[int(arg)%classCount], d})
			case op < 80:
				d, _ := l.data(classes[int(op)%classCount], int(arg))
				x.inv(classes[int(op)%classCount], d)
			case op < 120:
				_, b := l.data(classes[int(op)%classCount], int(arg))
				x.says(&Item{Class: classes[int(op)%classCount], Data: b})
			case op < 160:
				d, _ := l.data(classes[int(op)%classCount], int(arg))
				x.says(&IDs{Type: typeGet, Class: classes[int(op)%classCount], IDs: []ShortID{x.name(d)}})
			case op < 180:
				x.says(all[names[int(op)%len(names)]])
			case op < 200:
				n := min(len(data), int(op)-180)
				l.step(Received{x.link, data[:n]})
				data = data[n:]
			case op < 210:
				l.step(LinkDown{x.link})
			case op < 220:
				fars = append(fars, l.up(ridOf(int(arg)%60), op%2 == 0))
			case op < 230:
				v := l.view
				v.Epoch += uint64(op)
				v.Beacon = beacon(int(arg))
				v.Relays = listOf(10 + int(arg)%40)
				l.step(v)
			case op < 240:
				l.step(AskJoin{ridOf(int(arg)), []byte{1}})
				l.step(AskState{RID: x.rid, Part: uint32(arg)})
			default:
				l.pass(time.Duration(arg) * 20 * time.Millisecond)
			}
			m := l.m
			if len(m.peers) > MaxPeers || len(m.peers) != len(m.byLink) || len(m.asks) > maxJoins || len(m.dials) > MaxPeers {
				t.Fatalf("%d peers, %d links, %d asks, %d dials", len(m.peers), len(m.byLink), len(m.asks), len(m.dials))
			}
			for _, p := range m.peers {
				if len(p.gets) > MaxGetCount || p.offers.len() > minOffers+offersPerRelay*len(m.view.Relays) || len(p.late) > maxLate || len(p.serving) > maxServing || len(p.states) > maxStateAsked {
					t.Fatal("a peer beyond its caps")
				}
			}
		}
	})
}
