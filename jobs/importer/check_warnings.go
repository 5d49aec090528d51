package importer

import (
	"fmt"
	"reflect"

	"rollcall/roster"
	"rollcall/storage"
)

// newWarnings returns the warnings to store with the batch; nil leaves the
// stored ones unchanged. Warnings found in the file are stored again with every
// batch, because more rows may be affected.
func (c *checker) newWarnings() []roster.Warning {
	told := c.sheet.Warnings()
	switch {
	case c.sheet.Mixed():
		told = append(told, mixedEncodings)
	default:
		if likely := c.sheet.LikelyEncoding(); likely != "" {
			told = append(told, likelyEncoding(likely))
		}
	}
	var others []roster.Warning // from the upload and the import pass
	for _, w := range c.warnings {
		if !fileWarnings[w.Code] {
			others = append(others, w)
		}
	}
	now := append(others, told...)
	if reflect.DeepEqual(now, c.warnings) || len(now) == 0 && len(c.warnings) == 0 {
		return nil
	}
	c.warnings = now
	return append([]roster.Warning{}, now...)
}

// countKept counts a good row whose user keeps a role or status although the row
// gives another.
func (b *checkedBatch) countKept(plan *storage.RowPlan) {
	if plan.AccessKept {
		b.kept++
	}
}

// tellRolesKept adds to the warnings of a batch how many roles are kept so far, so
// that a preview says it. The warnings of the batch were made before it was looked
// up.
func (w *importRun) tellRolesKept(b *storage.Checked, kept int64) {
	kept += roster.RolesKept(w.claim.Import.Warnings)
	warnings := b.Warnings
	if warnings == nil {
		warnings = w.claim.Import.Warnings
	}
	if roster.RolesKept(warnings) != kept {
		b.Warnings = roster.WithRolesKept(warnings, kept)
	}
}

// fileWarnings are the codes of the warnings that the check finds in the file.
var fileWarnings = map[string]bool{
	roster.WarnUnknownColumns: true, roster.WarnPasswordColumn: true, roster.WarnReadAs: true, roster.WarnLikelyEncoding: true,
	roster.WarnMixedEncodings: true, roster.WarnDoubleEncoded: true, roster.WarnRepeatedHeader: true, roster.WarnOtherHeader: true,
	roster.WarnOtherDelimiter: true, roster.WarnWrappedLines: true, roster.WarnOtherQuotes: true, roster.WarnShortRows: true,
	roster.WarnExtraDelimiters: true, roster.WarnBrokenRows: true, roster.WarnSwallowedLines: true, roster.WarnFooterRows: true, roster.WarnPlaceholderNames: true,
	roster.WarnPlaceholderDepartments: true, roster.WarnRoundedKeys: true, roster.WarnUnnamedColumns: true,
}

var mixedEncodings = roster.Warning{
	Code:    roster.WarnMixedEncodings,
	Message: "Some rows are not UTF-8, but the rest of the file is: changing the encoding won't help; fix these rows individually.",
}

func likelyEncoding(name string) roster.Warning {
	return roster.Warning{
		Code: roster.WarnLikelyEncoding, Encoding: name,
		Message: fmt.Sprintf("Some rows are not UTF-8. The file looks like %s: upload it again with encoding=%s, or save it as CSV UTF-8.", name, name),
	}
}
