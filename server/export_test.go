package server

// FillSlots takes every slot for a purchase under way, and returns how to give them back.
func (s *Server) FillSlots() (empty func()) {
	for range maxInFlight {
		s.spender.slots <- struct{}{}
	}
	return func() {
		for range maxInFlight {
			<-s.spender.slots
		}
	}
}

// AnswerMargin is how long before the caller's deadline an answer leaves.
const AnswerMargin = answerMargin
