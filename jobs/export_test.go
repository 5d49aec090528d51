package jobs

import (
	"context"

	"rollcall/mail"
	"rollcall/roster"
)

// OnRow has f called before each row is judged or imported.
func (im *Importer) OnRow(f func(pass roster.Status, row int64)) { im.fault = f }

// Connect has the pools made as cfg says, but for their size.
func (p *Postman) Connect(cfg mail.PoolConfig) {
	cfg.Size = p.pools.Size
	p.pools = cfg
}

// Parcel is how many invitations one task names at most.
const Parcel = parcel

// InHand is how many invitations are in hand for so many connections at most.
func InHand(connections int) int { return parcels(connections) * parcel }

// Hand sends what it is given, and leaves it unmarked and unrecorded.
func (m *Mailer) Hand(ctx context.Context) { m.sendAll(ctx) }

// Mark marks what was handed over, and leaves it unrecorded.
func (m *Mailer) Mark(ctx context.Context) { m.marker.run(ctx) }
