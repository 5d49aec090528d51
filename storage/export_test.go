package storage

// VitalsQueries are those a scrape asks, by name.
func VitalsQueries() map[string]string {
	return map[string]string{"tallies": selectTallies, "single": selectSingle, "waiting": selectWaiting, "due": selectDue}
}

// Translated is what a method returns where the driver returns err.
func Translated(err error) error {
	translate(&err, "ask")
	return err
}
