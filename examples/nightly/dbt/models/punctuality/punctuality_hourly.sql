{{ punctuality_by(ref('flights'), ['scheduled_hour']) }}
