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

// SendersEach is how many invitations are in hand for each connection.
const SendersEach = sendersEach

// Claim claims for those who send, and leaves what they did unrecorded.
func (m *Mailer) Claim(ctx context.Context) { m.claimer.run(ctx) }

// Mark marks for those who send what was handed over.
func (m *Mailer) Mark(ctx context.Context) { m.marker.run(ctx) }
