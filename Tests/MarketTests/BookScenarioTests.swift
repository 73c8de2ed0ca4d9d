import Testing

/// The book's rules as scenarios: lines of commands, and what must come of them. `BookScenario`
/// says how a line reads. Chain has slices of 1000, 2000 and 3000 units, diamond four of 1000.
struct BookScenarioTests {
  // MARK: Price, then time, at the resting side's price

  @Test func arrivingRequestTakesTheCheapestBidsAtTheirPrices() {
    BookScenario.play(
      """
      bid p paula any 60 x5
      bid q quinn any 50 x2
      ask r alice chain 100
      -> r.0 q 50 | r.1 q 50 | r.2 p 60
      bids q 50 2/2 | p 60 1/5
      orders none
      state r running
      """)
  }

  @Test func arrivingBidTakesTheHighestLimitsAtThoseLimits() {
    BookScenario.play(
      """
      ask low  alice chain 80
      ask high bob   chain 90
      orders high.0 90 | high.1 90 | high.2 90 | low.0 80 | low.1 80 | low.2 80
      bid p paula any 50 x4
      -> high.0 p 90 | high.1 p 90 | high.2 p 90 | low.0 p 80
      orders low.1 80 | low.2 80
      state high running
      state low open
      """)
  }

  @Test func earlierOfEqualPricesGoesFirstOnBothSides() {
    BookScenario.play(
      """
      bid first  quinn any 50 x2
      bid second paula any 50 x2
      ask r alice chain 50
      -> r.0 first 50 | r.1 first 50 | r.2 second 50
      ask s alice chain 45
      ask t bob   chain 45
      bid late rita chain.1 45 x1
      -> s.1 late 45
      orders s.0 45 | s.2 45 | t.0 45 | t.1 45 | t.2 45
      """)
  }

  @Test func pricesThatDoNotCrossRest() {
    BookScenario.play(
      """
      bid p paula any 101 x9
      ask r alice chain 100
      -> nothing
      bids p 101 0/9
      orders r.0 100 | r.1 100 | r.2 100
      """)
  }

  // MARK: Scopes are one book

  @Test func bestOfAnyModelAndSliceIsTaken() {
    BookScenario.play(
      """
      bid any   paula any       50 x9
      bid model quinn diamond   40 x9
      bid slice rita  diamond.2 30 x9
      ask d alice diamond 100
      -> d.0 model 40 | d.1 model 40 | d.2 slice 30 | d.3 model 40
      ask c alice chain 100
      -> c.0 any 50 | c.1 any 50 | c.2 any 50
      """)
  }

  @Test func earlierOfEqualPricesGoesFirstAcrossScopes() {
    BookScenario.play(
      """
      bid slice rita  chain.0 50 x9
      bid any   paula any     50 x9
      bid model quinn chain   50 x9
      ask r alice chain 100
      -> r.0 slice 50 | r.1 any 50 | r.2 any 50
      """)
  }

  @Test func requestIsLeasedSliceBySlice() {
    BookScenario.play(
      """
      ask r alice chain 100
      bid b paula chain.1 50 x9
      -> r.1 b 100
      bid a quinn chain.0 50 x9
      -> r.0 a 100
      state r open
      bid c rita chain.2 50 x9
      -> r.2 c 100
      state r running
      """)
  }

  @Test func backendsHaveBooksOfTheirOwn() {
    BookScenario.play(
      """
      bid s paula any 10 x9 on sumcheck
      bid p quinn any 90 x9
      ask r alice chain 100
      -> r.0 p 90 | r.1 p 90 | r.2 p 90
      """)
  }

  // MARK: Time in force

  @Test func fillOrKillTakesAllOrNothing() {
    BookScenario.play(
      """
      bid p paula any 50 x2
      ask r alice chain 100 fok
      -> nothing
      state r unmatched
      bids p 50 0/2
      bid q quinn any 60 x1
      ask s alice chain 100 fok
      -> s.0 p 50 | s.1 p 50 | s.2 q 60
      state s running
      """)
  }

  @Test func fillOrKillDoesNotBacktrack() {
    BookScenario.play(
      """
      bid p paula any     50 x1
      bid q quinn chain.0 60 x1
      bid s rita  chain.1 60 x1
      ask r alice chain 100 fok
      -> nothing
      state r unmatched
      """)
  }

  @Test func immediateOrCancelDoesNotRest() {
    BookScenario.play(
      """
      ask r alice chain 100 ioc
      -> nothing
      state r unmatched
      orders none
      """)
  }

  @Test func goodTillTimeRestsUntilItsTick() {
    BookScenario.play(
      """
      ask r alice chain 100 gtt 50
      pass 50
      state r open
      pass 1
      state r unmatched
      orders none
      """)
  }

  @Test func bidLeavesTheBookAfterItsTime() {
    BookScenario.play(
      """
      bid p paula any 50 x9 till 50
      pass 50
      bids p 50 0/9
      ask r alice chain 40
      pass 1
      bids none
      """)
  }

  // MARK: Amending

  @Test func lowerCapacityKeepsThePlace() {
    BookScenario.play(
      """
      bid p paula any 50 x5
      bid q quinn any 50 x5
      amend p 50 x2
      bids p 50 0/2 | q 50 0/5
      ask r alice chain 100
      -> r.0 p 50 | r.1 p 50 | r.2 q 50
      """)
  }

  @Test func moreCapacityGoesToTheEnd() {
    BookScenario.play(
      """
      bid p paula any 50 x1
      bid q quinn any 50 x5
      amend p 50 x2
      bids q 50 0/5 | p 50 0/2
      """)
  }

  @Test func anotherPriceGoesToTheEndOfThatPrice() {
    BookScenario.play(
      """
      bid p paula any 50 x5
      bid q quinn any 60 x5
      amend p 60 x5
      bids q 60 0/5 | p 60 0/5
      amend q 55 x5
      bids q 55 0/5 | p 60 0/5
      """)
  }

  @Test func amendedBidTakesWhatItNowCrossesAtTheOrdersLimit() {
    BookScenario.play(
      """
      bid p paula any 120 x1
      ask r alice chain 100
      amend p 90 x1
      -> r.0 p 100
      amend p 90 x2
      -> r.1 p 100
      bids p 90 2/2
      """)
  }

  @Test func capacityBelowTheLeasesHeldTakesNoMore() {
    BookScenario.play(
      """
      bid p paula any 50 x5
      ask r alice chain 100
      -> r.0 p 50 | r.1 p 50 | r.2 p 50
      amend p 50 x1
      bids p 50 3/1
      ask s alice chain 100
      -> nothing
      """)
  }

  @Test func refusesAmendmentsThatAreNone() {
    BookScenario.play(
      """
      bid p paula any 50 x5
      amend p 50 x5
      !! duplicate
      amend p 50 x0
      !! invalid-bid
      amend p 18446744073709551615 x5
      !! invalid-bid
      cancel p
      amend p 60 x5
      !! unknown-bid
      """)
  }

  // MARK: Who may take what

  @Test func nobodyTradesWithItself() {
    BookScenario.play(
      """
      bid p paula any 10 x9
      bid q quinn any 50 x9
      ask r paula chain 100
      -> r.0 q 50 | r.1 q 50 | r.2 q 50
      ask s quinn chain 20
      -> s.0 p 10 | s.1 p 10 | s.2 p 10
      """)
  }

  @Test func skippedBidKeepsItsPlace() {
    BookScenario.play(
      """
      bid small paula any 10 x9 largest 1000
      bid large quinn any 50 x9
      ask r alice chain 100
      -> r.0 small 10 | r.1 large 50 | r.2 large 50
      bids small 10 1/9 | large 50 2/9
      """)
  }

  @Test func spreadBoundsTheSlicesOfOneKeyHoweverManyBids() {
    BookScenario.play(
      """
      bid p1 paula any 50 x9
      bid p2 paula any 51 x9
      bid q  quinn any 60 x9
      ask r alice chain 100 spread 1
      -> r.0 p1 50 | r.1 q 60
      bid p3 paula any 40 x9
      -> nothing
      bid s rita any 70 x9
      -> r.2 s 100
      """)
  }

  @Test func stakeRunsOutAndComesBack() {
    BookScenario.play(
      """
      bid p paula any 50 x9
      ask r alice chain 100 stake 1000
      -> r.0 p 50 | r.1 p 50 | r.2 p 50
      ask s bob chain 100 stake 1000
      -> s.0 p 50 | s.1 p 50
      orders s.2 100
      bond paula 1000000
      -> s.2 p 50
      state s running
      """)
  }

  @Test func freedCapacityGoesToTheBestRestingOrderAtTheBidsPrice() {
    BookScenario.play(
      """
      bid p paula any 50 x3
      ask r alice chain 100 gtt 1000
      ask low  bob chain 70
      ask high bob chain 80
      cancel r
      !! cancel-too-late
      bids p 50 3/3
      pass 10001
      -> high.0 p 50
      """)
  }

  @Test func cancelledRequestFreesItsBidsForOthers() {
    BookScenario.play(
      """
      bid p paula any 50 x2
      ask r alice chain 100
      -> r.0 p 50 | r.1 p 50
      ask s bob chain 90
      -> nothing
      cancel r
      -> s.0 p 50 | s.1 p 50
      state r cancelled
      """)
  }

  // MARK: Ramps

  @Test func rampRisesUntilItMeetsABidAndTradesAtTheBidsPrice() {
    BookScenario.play(
      """
      bid p paula any 55 x9
      ask r alice chain 100 ramp 10 20 500
      -> nothing
      orders r.0 10 | r.1 10 | r.2 10
      pass 499
      orders r.0 10 | r.1 10 | r.2 10
      pass 1
      orders r.0 30 | r.1 30 | r.2 30
      pass 1000
      -> r.0 p 55 | r.1 p 55 | r.2 p 55
      """)
  }

  @Test func rampEndsAtTheLimit() {
    BookScenario.play(
      """
      ask r alice chain 100 ramp 10 40 500
      pass 50000
      orders r.0 100 | r.1 100 | r.2 100
      bid p paula any 55 x9
      -> r.0 p 100 | r.1 p 100 | r.2 p 100
      """)
  }

  @Test func arrivingBidTakesARampAtWhatItIsNow() {
    BookScenario.play(
      """
      ask r alice chain 100 ramp 10 20 500
      pass 600
      bid p paula any 25 x1
      -> r.0 p 30
      """)
  }

  @Test func rampsThatCrossAtOneTickGoByTheirTime() {
    BookScenario.play(
      """
      bid p paula any 50 x3
      ask first alice chain 100 ramp 10 40 1000
      pass 500
      ask second bob chain 100 ramp 10 40 500
      pass 500
      -> first.0 p 50 | first.1 p 50 | first.2 p 50
      orders second.0 50 | second.1 50 | second.2 50
      """)
  }

  @Test func refusesRampsThatDoNotRiseOrDoNotRest() {
    BookScenario.play(
      """
      ask r alice chain 100 ramp 100 20 500
      !! invalid-request
      ask r alice chain 100 ramp 10 0 500
      !! invalid-request
      ask r alice chain 100 ramp 10 20 0
      !! invalid-request
      ask r alice chain 2000 ramp 10 1 500
      !! invalid-request
      ask r alice chain 100 fok ramp 10 20 500
      !! invalid-request
      """)
  }
}
