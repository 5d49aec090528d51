package i18n

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// dateForm is how a language writes a date with a time.
type dateForm struct {
	weekdays string // from Sunday, separated by spaces
	months   string // from January, in the form that follows a day
	pattern  string // of {weekday}, {day}, {month}, {year}, {time}
	clock    string // layout of the time; "" is 15:04
}

// dateForms are the forms by language, and by language and region where that has
// its own. They follow CLDR's full dates.
var dateForms = map[string]dateForm{
	"en": {
		"Sunday Monday Tuesday Wednesday Thursday Friday Saturday",
		"January February March April May June July August September October November December",
		"{weekday}, {day} {month} {year} at {time}", "",
	},
	"de": {
		"Sonntag Montag Dienstag Mittwoch Donnerstag Freitag Samstag",
		"Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
		"{weekday}, {day}. {month} {year} um {time}", "",
	},
	"fr": {
		"dimanche lundi mardi mercredi jeudi vendredi samedi",
		"janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
		"{weekday} {day} {month} {year} à {time}", "",
	},
	"es": {
		"domingo lunes martes miércoles jueves viernes sábado",
		"enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
		"{weekday}, {day} de {month} de {year}, {time}", "",
	},
	"it": {
		"domenica lunedì martedì mercoledì giovedì venerdì sabato",
		"gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
		"{weekday} {day} {month} {year} alle ore {time}", "",
	},
	"pt": {
		"domingo segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado",
		"janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
		"{weekday}, {day} de {month} de {year} às {time}", "",
	},
	"nl": {
		"zondag maandag dinsdag woensdag donderdag vrijdag zaterdag",
		"januari februari maart april mei juni juli augustus september oktober november december",
		"{weekday} {day} {month} {year} om {time}", "",
	},
	"pl": {
		"niedziela poniedziałek wtorek środa czwartek piątek sobota",
		"stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
		"{weekday}, {day} {month} {year} o {time}", "",
	},
}

// monthFirst are the regions in which English has the month before the day, and
// the hours to twelve.
var monthFirst = map[string]bool{"en-US": true, "en-CA": true, "en-PH": true}

// Moment writes a time in full, with the time zone: UTC, because that of the reader
// is not known.
func (r Reader) Moment(t time.Time) string {
	t = t.UTC()
	form := dateForms[r.Lang()]
	if monthFirst[r.tag] {
		form.pattern, form.clock = "{weekday}, {month} {day}, {year} at {time}", "3:04 PM"
	}
	clock := "15:04"
	if form.clock != "" {
		clock = form.clock
	}
	zone := " UTC"
	if r.Lang() == "de" {
		zone = " Uhr (UTC)"
	}
	day := strconv.Itoa(t.Day())
	if r.Lang() == "fr" && t.Day() == 1 {
		day = "1er"
	}
	return strings.NewReplacer(
		"{weekday}", strings.Fields(form.weekdays)[t.Weekday()], "{day}", day,
		"{month}", strings.Fields(form.months)[t.Month()-1], "{year}", fmt.Sprint(t.Year()), "{time}", t.Format(clock)+zone,
	).Replace(form.pattern)
}

// Remaining writes how long from now something ends, rounded to the unit people
// would use, for the place {remaining} of a text.
func (r Reader) Remaining(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 90*time.Minute:
		return r.Text("remaining.minutes", max(1, int(d.Round(time.Minute)/time.Minute)))
	case d < 36*time.Hour:
		return r.Text("remaining.hours", int(d.Round(time.Hour)/time.Hour))
	default:
		return r.Text("remaining.days", int(d.Round(day)/day))
	}
}

// Lasting writes for how many hours something is good, for the place {life} of a
// text.
func (r Reader) Lasting(d time.Duration) string {
	return r.Text("lasting.hours", max(1, int(d.Round(time.Hour)/time.Hour)))
}
