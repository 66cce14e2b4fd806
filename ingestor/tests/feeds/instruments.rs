//! Instruments: published once, and again only when something changed.

use crate::rig::{LogView, Place, Running, TestLog, VENUES, at_each, until};
use proto::{EventType, LogTopic, wire};

#[tokio::test]
async fn the_instruments_of_every_venue_are_published_and_the_streamed_ones_marked_live() {
    at_each(&VENUES, async |venue| {
        let (place, log) = (Place::open(venue).await, TestLog::open());
        let running = Running::start(place.config(), &log.log).await;
        let mut view = LogView::of(&log.log, LogTopic::EvtInstrument).await;
        let instrument = view.until(venue, |view| view.messages::<wire::Instrument>(EventType::Instrument).pop()).await;
        assert_eq!((instrument.venue.as_str(), instrument.symbol.as_str()), (venue, place.symbol.as_str()));
        assert!(instrument.live && instrument.tick_size.is_some() && instrument.lot_size.is_some(), "{venue}");
        assert_eq!(instrument.status(), wire::InstrumentStatus::Trading, "{venue}");
        assert_eq!(view.envelopes[0].key, place.key());
        running.stop().await;
        let mut raw = LogView::of(&log.log, LogTopic::RawRest).await;
        raw.refresh();
        let frames = raw.messages::<wire::RawFrame>(EventType::RawFrame);
        assert!(frames.iter().any(|frame| frame.channel == "rest:instruments 200"), "{venue}");
    })
    .await;
}

#[tokio::test]
async fn a_second_start_publishes_nothing_that_is_known_already() {
    let (place, log) = (Place::open("OKX").await, TestLog::open());
    for _ in 0..2 {
        let before = place.server.served().len();
        let running = Running::start(place.config(), &log.log).await;
        place.server.wait_served(|served| served.len() > before).await;
        until("the answer is worked on", || {
            running.metrics.render().contains("answers_total{venue=\"OKX\",reason=\"ok\"} 1")
        })
        .await;
        running.stop().await;
    }
    let mut view = LogView::of(&log.log, LogTopic::EvtInstrument).await;
    view.refresh();
    assert_eq!(view.envelopes.len(), 1);
}
