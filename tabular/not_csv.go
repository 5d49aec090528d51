package tabular

import (
	"bytes"
	"strings"
)

// What to do about files that are no CSV, by the program they come from.
const (
	fromExcel = " In Excel choose File > Save As > CSV UTF-8 (Comma delimited)."
	fromAny   = " Save or export the list as a CSV file and upload that."
)

// signatures are the first bytes of files that are sent by mistake.
var signatures = [...]struct{ magic, what string }{
	{"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "This is an old Excel workbook (.xls) or another Office document, not a CSV." + fromExcel},
	{"%PDF-", "This is a PDF document, not a CSV." + fromAny},
	{"\x1F\x8B", "This is a gzip archive, not a CSV. Unpack it and upload the CSV file in it."},
	{"BZh91AY&SY", "This is a bzip2 archive, not a CSV. Unpack it and upload the CSV file in it."},
	{"\xFD7zXZ\x00", "This is an xz archive, not a CSV. Unpack it and upload the CSV file in it."},
	{"\x28\xB5\x2F\xFD", "This is a Zstandard archive, not a CSV. Unpack it and upload the CSV file in it."},
	{"7z\xBC\xAF\x27\x1C", "This is a 7-Zip archive, not a CSV. Unpack it and upload the CSV file in it."},
	{"Rar!\x1A\x07", "This is a RAR archive, not a CSV. Unpack it and upload the CSV file in it."},
	{"\x89PNG\r\n", "This is a picture (PNG), not a CSV." + fromAny},
	{"\xFF\xD8\xFF", "This is a picture (JPEG), not a CSV." + fromAny},
	{"GIF87a", "This is a picture (GIF), not a CSV." + fromAny},
	{"GIF89a", "This is a picture (GIF), not a CSV." + fromAny},
	{"SQLite format 3\x00", "This is an SQLite database, not a CSV." + fromAny},
	{"\x7FELF", "This is a program, not a CSV." + fromAny},
	{`{\rtf`, "This is a rich text document (RTF), not a CSV." + fromAny},
}

// archives are the files that are ZIP archives within, by a name or text found
// near the beginning of one.
var archives = [...]struct{ sign, what string }{
	{"opendocument.spreadsheet", "This is an OpenDocument spreadsheet (.ods), not a CSV. In LibreOffice choose File > Save As > Text CSV, character set UTF-8."},
	{"Index/Document.iwa", "This is a Numbers document, not a CSV. In Numbers choose File > Export To > CSV."},
	{"word/", "This is a Word document (.docx), not a CSV." + fromAny},
	{"xl/", "This is an Excel workbook (.xlsx), not a CSV." + fromExcel},
	{"[Content_Types].xml", "This is an Excel workbook (.xlsx), not a CSV." + fromExcel},
}

// documents are the beginnings, in lower case and behind white space, of text
// that is no CSV.
var documents = [...]struct{ begin, what string }{
	{"<!doctype html", "This is a web page (HTML), not a CSV." + fromAny},
	{"<html", "This is a web page (HTML), not a CSV." + fromAny},
	{"<table", "This is a web page (HTML), not a CSV." + fromAny},
	{"<meta", "This is a web page (HTML), not a CSV." + fromAny},
	{"<?xml", "This is an XML document, not a CSV." + fromAny},
	{"[{", "This is a JSON document, not a CSV." + fromAny},
	{`{"`, "This is a JSON document, not a CSV." + fromAny},
	{"begin:vcard", "This is a vCard file, not a CSV." + fromAny},
}

// detectNonCSV says what a file is that is no CSV by its first bytes, and what to
// do, or returns "".
func detectNonCSV(sample []byte) string {
	for _, s := range signatures {
		if bytes.HasPrefix(sample, []byte(s.magic)) {
			return s.what
		}
	}
	if bytes.HasPrefix(sample, []byte("PK\x03\x04")) {
		for _, a := range archives {
			if bytes.Contains(sample, []byte(a.sign)) {
				return a.what
			}
		}
		return "This is a ZIP archive, not a CSV. Unpack it and upload the CSV file in it."
	}
	return ""
}

// textBytes is how much decoded text is looked at to tell what it is.
const textBytes = 4096

// notText says what decoded text is that is no CSV, and what to do, or returns
// "".
func notText(text []byte) string {
	text = text[:min(len(text), textBytes)]
	begin := strings.ToLower(string(bytes.TrimSpace(text[:min(len(text), 256)])))
	for _, d := range documents {
		if strings.HasPrefix(begin, d.begin) {
			return d.what
		}
	}
	controls := 0
	for _, b := range text {
		if b < ' ' && (b < '\t' || b > '\r') {
			controls++
		}
	}
	if controls > len(text)/3 {
		return "This is not a text file." + fromAny
	}
	return ""
}
