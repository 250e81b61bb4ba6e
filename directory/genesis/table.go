// SPDX-License-Identifier: BSD-3-Clause

package genesis

import (
	"errors"
	"math"
	"time"

	"chive/internal/strictcbor"
)

// ErrParams means a set of parameters that is not in the form of this version.
var ErrParams = errors.New("genesis: bad parameters")

// row is one parameter: its name on paper, where it lives, and its public
// bounds, both included. A duration counts in milliseconds, a flag as 0 or 1.
type row struct {
	name   string
	at     any // *time.Duration, *int or *bool
	lo, hi int64
}

const (
	sec  = 1000 // in milliseconds
	mins = 60 * sec
	hrs  = 60 * mins
	days = 24 * hrs
)

// hardMax bounds every number, in a testnet too: 100 years in milliseconds, so
// that sums and products of a few of them fit 64 bits.
const hardMax = 100 * 365 * days

// sections returns every parameter of p, in the order of the wire: the outer
// index is the key of its map, the inner one the place in that key's array.
func (p *Params) sections() [][]row {
	return [][]row{
		{ // 0: epoch
			{"epoch_len", &p.EpochLen, 30 * mins, 4 * hrs},
			{"day", &p.Day, 6, 48},
			{"term", &p.Term, 48, 1008},
			{"draw_lead", &p.DrawLead, 6, 168},
			{"cut_off", &p.CutOff, 60 * sec, 20 * mins},
			{"propose", &p.Propose, 10 * sec, 3 * mins},
			{"hold_off_step", &p.HoldOffStep, 1 * sec, 30 * sec},
			{"hold_off_max", &p.HoldOffMax, 5 * sec, 3 * mins},
			{"sign", &p.Sign, 30 * sec, 10 * mins},
			{"sign_end", &p.SignEnd, 2 * mins, 25 * mins},
		},
		{ // 1: gossip
			{"inv_mean_out", &p.InvMeanOut, 100, 10 * sec},
			{"inv_mean_in", &p.InvMeanIn, 100, 20 * sec},
			{"inv_urgent", &p.InvUrgent, 10, 1 * sec},
			{"get_timeout", &p.GetTimeout, 500, 30 * sec},
			{"get_timeout_urgent", &p.GetTimeoutUrgent, 250, 15 * sec},
			{"repair_period", &p.RepairPeriod, 1 * mins, 2 * hrs},
			{"repair_jitter", &p.RepairJitter, 100, 900},
		},
		{ // 2: descriptors and clocks
			{"republish", &p.Republish, 12 * hrs, 6 * days},
			{"republish_jitter", &p.RepublishJitter, 1 * hrs, 2 * days},
			{"republish_gap", &p.RepublishGap, 5 * mins, 6 * hrs},
			{"republish_per_day", &p.RepublishPerDay, 1, 48},
			{"descriptor_life", &p.DescriptorLife, 2 * days, 30 * days},
			{"onion_life", &p.OnionLife, 7 * days, 60 * days},
			{"onion_overlap", &p.OnionOverlap, 2 * days, 30 * days},
			{"clock_ahead", &p.ClockAhead, 1 * mins, 1 * hrs},
			{"clock_member", &p.ClockMember, 2 * sec, 1 * mins},
			{"clock_client", &p.ClockClient, 10 * mins, 1 * days},
		},
		{ // 3: committee and admission
			{"committee_max", &p.CommitteeMax, 24, 96},
			{"committee_age", &p.CommitteeAge, 30, 365},
			{"committee_uptime", &p.CommitteeUptime, 800, 999},
			{"seats_per_group", &p.SeatsPerGroup, 1, 4},
			{"seats_per_family", &p.SeatsPerFamily, 1, 2},
			{"seats_per_net", &p.SeatsPerNet, 1, 2},
			{"admit_rate", &p.AdmitRate, 1, 50},
			{"admit_floor", &p.AdmitFloor, 1, 100},
			{"admit_hold", &p.AdmitHold, 1, 14},
			{"voucher_share", &p.VoucherShare, 100, 900},
			{"voucher_gap", &p.VoucherGap, 7, 365},
			{"stamp_bits", &p.StampBits, 8, 32},
			{"work_bits", &p.WorkBits, 4, 20},
			{"addr_per_ipv4", &p.AddrPerIPv4, 1, 8},
			{"addr_per_ipv4_net", &p.AddrPerIPv4Net, 1, 32},
			{"addr_per_ipv6_net", &p.AddrPerIPv6Net, 1, 64},
		},
		{ // 4: weights
			{"newcomer_until", &p.NewcomerUntil, 1, 60},
			{"newcomer_share", &p.NewcomerShare, 5, 200},
			{"entry_age", &p.EntryAge, 1, 60},
			{"exit_age", &p.ExitAge, 7, 90},
			{"hsdir_age", &p.HSDirAge, 2, 60},
			{"guard_from", &p.GuardFrom, 14, 180},
			{"guard_full", &p.GuardFull, 30, 365},
			{"cap_relay", &p.CapRelay, 1, 50},
			{"cap_group", &p.CapGroup, 10, 300},
			{"cap_cohort", &p.CapCohort, 10, 500},
			{"cohort", &p.Cohort, 7, 90},
			{"bw_start", &p.BWStart, 64, 8192},
			{"bw_cap", &p.BWCap, 512, 1 << 20},
			{"bw_step", &p.BWStep, 1, 4},
			{"stop_epoch", &p.StopEpoch, 10, 300},
			{"stop_day", &p.StopDay, 50, 600},
		},
		{ // 5: paths, clients, guards
			{"path_network_rule", &p.PathNetworkRule, 1, 1},
			{"path_family_rule", &p.PathFamilyRule, 1, 1},
			{"client_fetch", &p.ClientFetch, 30 * mins, 12 * hrs},
			{"client_jitter", &p.ClientJitter, 5 * mins, 3 * hrs},
			{"use_lag", &p.UseLag, 1, 4},
			{"fresh", &p.Fresh, 2, 24},
			{"warn", &p.Warn, 6, 96},
			{"refuse", &p.Refuse, 24, 336},
			{"anchor_age", &p.AnchorAge, 14 * days, 180 * days},
			{"guard_life_min", &p.GuardLifeMin, 30 * days, 365 * days},
			{"guard_life_max", &p.GuardLifeMax, 45 * days, 500 * days},
			{"guard_new", &p.GuardNew, 3, 20},
			{"guard_new_per", &p.GuardNewPer, 14 * days, 365 * days},
			{"guard_absent", &p.GuardAbsent, 2 * days, 30 * days},
			{"guard_retry_min", &p.GuardRetryMin, 10 * sec, 10 * mins},
			{"guard_retry_max", &p.GuardRetryMax, 10 * mins, 12 * hrs},
			{"guard_down_after", &p.GuardDownAfter, 1 * mins, 1 * hrs},
			{"guard_last", &p.GuardLast, 7 * days, 90 * days},
		},
		{ // 6: links and circuits
			{"ewma_half_life", &p.EWMAHalfLife, 100, 5 * mins},
			{"window_init", &p.WindowInit, 32, 1024},
			{"window_min", &p.WindowMin, 32, 1024},
			{"window_max", &p.WindowMax, 128, 8192},
			{"ack_every", &p.AckEvery, 8, 128},
			{"alpha", &p.Alpha, 4, 1024},
			{"beta", &p.Beta, 4, 1024},
			{"gamma", &p.Gamma, 4, 1024},
			{"delta", &p.Delta, 4, 1024},
			{"stream_credit", &p.StreamCredit, 64 << 10, 1 << 20},
		},
	}
}

// number returns the value as it stands on the wire.
func (r row) number() int64 {
	switch at := r.at.(type) {
	case *time.Duration:
		return at.Milliseconds()
	case *int:
		return int64(*at)
	case *bool:
		if *at {
			return 1
		}
	}
	return 0
}

// put sets the value from the wire. It fails for a number beyond the hard bounds.
func (r row) put(n uint64) error {
	if n > hardMax {
		return ErrParams
	}
	switch at := r.at.(type) {
	case *time.Duration:
		*at = time.Duration(n) * time.Millisecond
	case *int:
		if n > math.MaxInt32 {
			return ErrParams
		}
		*at = int(n)
	case *bool:
		if n > 1 {
			return ErrParams
		}
		*at = n == 1
	}
	return nil
}

// exact reports whether the value survives the wire.
func (r row) exact() bool {
	if at, ok := r.at.(*time.Duration); ok && *at%time.Millisecond != 0 {
		return false
	}
	n, top := r.number(), int64(math.MaxInt32)
	if _, ok := r.at.(*time.Duration); ok {
		top = hardMax
	}
	return n >= 0 && n <= top
}

// wireParams has one array for each section.
type wireParams struct {
	Epoch       []uint64 `cbor:"0,keyasint"`
	Gossip      []uint64 `cbor:"1,keyasint"`
	Descriptors []uint64 `cbor:"2,keyasint"`
	Committee   []uint64 `cbor:"3,keyasint"`
	Weights     []uint64 `cbor:"4,keyasint"`
	Clients     []uint64 `cbor:"5,keyasint"`
	Circuits    []uint64 `cbor:"6,keyasint"`
}

func (w *wireParams) arrays() []*[]uint64 {
	return []*[]uint64{&w.Epoch, &w.Gossip, &w.Descriptors, &w.Committee, &w.Weights, &w.Clients, &w.Circuits}
}

// maxParamsSize bounds the encoded parameters in bytes.
const maxParamsSize = 2048

// encode returns the parameters' bytes. Error: ErrParams for a value that the
// wire cannot carry.
func (p Params) encode(extra strictcbor.Extra) ([]byte, error) {
	var w wireParams
	arrays := w.arrays()
	for i, rows := range p.sections() {
		for _, r := range rows {
			if !r.exact() {
				return nil, ErrParams
			}
			*arrays[i] = append(*arrays[i], uint64(r.number()))
		}
	}
	return strictcbor.MarshalExtra(w, extra)
}

// decodeParams reads what encode wrote.
func decodeParams(data []byte) (Params, strictcbor.Extra, error) {
	var p Params
	var w wireParams
	extra, err := strictcbor.Unmarshal(data, maxParamsSize, &w)
	if err != nil {
		return Params{}, extra, err
	}
	arrays := w.arrays()
	for i, rows := range p.sections() {
		if len(*arrays[i]) != len(rows) {
			return Params{}, extra, ErrParams
		}
		for j, r := range rows {
			if err := r.put((*arrays[i])[j]); err != nil {
				return Params{}, extra, err
			}
		}
	}
	return p, extra, nil
}
