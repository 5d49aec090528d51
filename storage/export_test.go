package storage

// VitalsQueries are those a scrape asks, by name.
func VitalsQueries() map[string]string {
	return map[string]string{"tallies": selectTallies, "single": selectSingle, "waiting": selectWaiting, "due": selectDue}
}
