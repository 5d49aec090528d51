package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const maxReminders = 5

// ParseReminders reads the ages of an invitation at which reminders are sent,
// separated by commas. It returns whole seconds in ascending order. Errors do not
// repeat the value.
func ParseReminders(value string) (ages []time.Duration, err error) {
	for part := range strings.SplitSeq(value, ",") {
		age, err := time.ParseDuration(strings.TrimSpace(part))
		switch {
		case err != nil:
			return nil, errors.New("holds something that is not a duration such as 24h")
		case age < time.Second || age%time.Second != 0:
			return nil, errors.New("holds an age that is not a whole number of seconds, or less than one")
		case slices.Contains(ages, age):
			return nil, errors.New("holds the same age twice")
		}
		ages = append(ages, age)
	}
	if len(ages) > maxReminders {
		return nil, fmt.Errorf("holds more than %d ages", maxReminders)
	}
	slices.Sort(ages)
	return ages, nil
}

// Reminders are the ages of InvitationReminders, ascending; none if it is empty.
func (c *Config) Reminders() []time.Duration {
	if c.InvitationReminders == "" {
		return nil
	}
	ages, _ := ParseReminders(c.InvitationReminders) // validated by load
	return ages
}

// uselessReminders reports an age that no link reaches: its reminder would never
// be sent.
func (c *Config) uselessReminders(found Faults) Faults {
	if found.about("ROLLCALL_INVITATION_REMINDERS") || found.about("ROLLCALL_INVITATION_TTL") {
		return nil
	}
	ages := c.Reminders()
	if len(ages) == 0 || ages[len(ages)-1] < c.InvitationTTL {
		return nil
	}
	return Faults{{"ROLLCALL_INVITATION_REMINDERS", "holds an age at which links have expired",
		"set it to ages less than ROLLCALL_INVITATION_TTL, which is " + c.InvitationTTL.String()}}
}
