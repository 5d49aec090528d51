package jobs

import "rollcall/roster"

// OnRow has f called before each row is judged or imported.
func (im *Importer) OnRow(f func(pass roster.Status, row int64)) { im.fault = f }
